CREATE SCHEMA billing;
CREATE TYPE billing.invoice_state AS ENUM ('draft', 'open', 'paid', 'void');
CREATE TABLE billing.customers (
    id serial PRIMARY KEY,
    name text NOT NULL,
    email varchar(80) NOT NULL,
    country char(2),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE billing.plans (code text PRIMARY KEY, title text NOT NULL, price numeric(10,2) NOT NULL CHECK (price >= 0), active boolean NOT NULL DEFAULT true);
CREATE TABLE billing.subscriptions (
    id serial PRIMARY KEY,
    customer_id int NOT NULL REFERENCES billing.customers ON DELETE CASCADE,
    plan_code text NOT NULL REFERENCES billing.plans,
    seats int NOT NULL DEFAULT 1 CHECK (seats > 0),
    started date NOT NULL,
    ended date
);
CREATE TABLE billing.invoices (
    id serial PRIMARY KEY,
    subscription_id int REFERENCES billing.subscriptions ON DELETE SET NULL,
    state billing.invoice_state NOT NULL DEFAULT 'draft',
    total numeric(10,2) NOT NULL,
    issued_at timestamp,
    note text
);
CREATE TABLE billing.invoice_lines (
    invoice_id int NOT NULL REFERENCES billing.invoices ON DELETE CASCADE,
    line int NOT NULL,
    text text NOT NULL,
    amount numeric(10,2) NOT NULL,
    PRIMARY KEY (invoice_id, line)
);
CREATE TABLE billing.payments (id serial PRIMARY KEY, invoice_id int NOT NULL REFERENCES billing.invoices ON DELETE CASCADE, amount numeric(10,2) NOT NULL, paid_at timestamptz NOT NULL, reference text);
CREATE INDEX subscriptions_customer ON billing.subscriptions (customer_id);
CREATE INDEX invoices_subscription ON billing.invoices (subscription_id);
CREATE INDEX payments_invoice ON billing.payments (invoice_id);
CREATE VIEW billing.open_invoices AS SELECT id, total FROM billing.invoices WHERE state = 'open';
