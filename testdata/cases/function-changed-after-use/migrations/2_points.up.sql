UPDATE app.members SET points = app.points(spent) WHERE spent > 100;
