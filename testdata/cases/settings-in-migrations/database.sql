ALTER DATABASE :"DBNAME" SET bytea_output = 'escape';
ALTER DATABASE :"DBNAME" SET extra_float_digits = -9;
ALTER DATABASE :"DBNAME" SET intervalstyle = 'iso_8601';
ALTER DATABASE :"DBNAME" SET datestyle = 'German, DMY';
ALTER DATABASE :"DBNAME" SET timezone = 'Europe/Rome';
