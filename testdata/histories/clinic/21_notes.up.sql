UPDATE clinic.visits SET notes = NULL WHERE btrim(notes) = '';
