SELECT f FROM app.v; SELECT nextval('app.numbers');
