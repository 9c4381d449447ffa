UPDATE app.places SET code = code || '-' || id WHERE id < 10;
