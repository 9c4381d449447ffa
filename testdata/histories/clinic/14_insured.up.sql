CREATE UNIQUE INDEX patients_insured ON clinic.patients (upper(insured));
