UPDATE clinic.patients SET phone = replace(phone, ' ', '') WHERE phone LIKE '% %';
