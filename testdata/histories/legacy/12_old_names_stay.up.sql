ALTER TABLE "Shop"."Artikel" RENAME TO artikel;
ALTER TABLE "Shop".artikel RENAME "ArtikelNr" TO artikel_nr;
ALTER TABLE "Shop".artikel RENAME "order" TO sortierung;
CREATE VIEW "Shop"."Artikel" AS SELECT artikel_nr AS "ArtikelNr", "Bezeichnung", "Preis", sortierung AS "order" FROM "Shop".artikel;
CREATE FUNCTION "Shop"."ArtikelAltNeu"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO "Shop".artikel (artikel_nr, "Bezeichnung", "Preis", sortierung) VALUES (NEW."ArtikelNr", NEW."Bezeichnung", NEW."Preis", coalesce(NEW."order", 0));
    RETURN NEW;
END $$;
CREATE TRIGGER "AltNeu" INSTEAD OF INSERT ON "Shop"."Artikel" FOR EACH ROW EXECUTE FUNCTION "Shop"."ArtikelAltNeu"();
