-- The shop as it stands at version 1.
CREATE SCHEMA IF NOT EXISTS shop;
CREATE TABLE shop.customers (
    id        serial PRIMARY KEY,
    full_name text NOT NULL,
    mail      text NOT NULL UNIQUE,
    visits    integer NOT NULL DEFAULT 0,
    balance   numeric(12,2) NOT NULL DEFAULT 0
);
CREATE TABLE shop.orders (
    id          serial PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES shop.customers,
    country     text NOT NULL,
    status      text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'paid', 'sent')),
    total       numeric(12,2) NOT NULL,
    token       uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_customer ON shop.orders (customer_id);
CREATE TABLE shop.order_lines (
    order_id integer NOT NULL REFERENCES shop.orders ON DELETE CASCADE,
    line     integer NOT NULL,
    product  text NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, line)
);
CREATE TABLE shop.events (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at   timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL,
    body jsonb NOT NULL DEFAULT '{}'
);
-- a log as many shops have one: without any key
CREATE TABLE shop.audit_log (at timestamptz NOT NULL DEFAULT now(), what text NOT NULL);
CREATE VIEW shop.open_orders AS SELECT id, customer_id, total FROM shop.orders WHERE status <> 'sent';
