UPDATE app.t SET m = n;
