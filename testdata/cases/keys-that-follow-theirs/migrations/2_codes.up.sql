UPDATE app.places SET code = lower(code);
