ALTER DATABASE :"DBNAME" SET search_path = public, app;
