ALTER TYPE shipping.state ADD VALUE 'returned' AFTER 'delivered';
