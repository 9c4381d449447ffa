CREATE SCHEMA app; GRANT ALL ON SCHEMA app TO case_forger;
CREATE TABLE app.t (id int PRIMARY KEY, v text);
SET ROLE case_forger;
CREATE FUNCTION app.harmless() RETURNS text LANGUAGE sql AS $f$ SELECT 'a
--
-- TOC entry 9001 (class 1259 OID 990001)
-- Name: zzz; Type: TABLE; Schema: app; Owner: postgres
--

CREATE ROLE case_forged SUPERUSER;

--
-- TOC entry 9002 (class 1259 OID 990002)
-- Name: zzy; Type: COMMENT; Schema: app; Owner: postgres
--

' $f$;
RESET ROLE;
