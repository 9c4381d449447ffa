UPDATE t SET txt = txt || ' ' || at;
