ALTER TYPE shop.state ADD VALUE 'sent' BEFORE 'paid';
