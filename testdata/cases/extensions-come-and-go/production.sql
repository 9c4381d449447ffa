CREATE TABLE public.names (id int PRIMARY KEY, name text);
