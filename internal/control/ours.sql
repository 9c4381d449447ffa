CREATE OR REPLACE FUNCTION {function} RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE AS $pgumbra$
BEGIN
    RETURN coalesce(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.current_setting({setting}, true),
        pg_catalog.getdatabaseencoding())), 'hex') OPERATOR(pg_catalog.=) ANY (ARRAY[{digests}]), false);
END
$pgumbra$
