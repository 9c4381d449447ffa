INSERT INTO public.names SELECT n, 'name ' || n FROM generate_series(1, 100) n;
