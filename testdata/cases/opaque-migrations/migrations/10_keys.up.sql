UPDATE shop.checked SET id = id + 100; UPDATE shop.checked SET peer = peer + 100;
