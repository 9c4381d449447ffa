UPDATE t SET at = local;
