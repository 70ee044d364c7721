-- Who could have written what these steps run, and whether the owner of each step's target can run it himself. One row per step.
-- $1: [{unit, target: [schema, name] or null, object: [schema, name], parses, as_owner, script, deep, path: [schema], names: [[qualifier or null, name, is a call]],
--       checks: [[qualifier or null, name]], text}]; parses: it only parses, or does so where as_owner
--       and the owner is lesser; script: it runs an extension's; checks: calls in checks of domains that are yet to come.
-- MULTIRANGE(r) stands for the multirange of a range, STATISTICS(s) for the expressions of extended statistics.
-- IS_LESSER(role) stands for the SQL of `catalog::is_lesser`. "Lesser" is a role that can never become the session's user nor a superuser, whatever it is a member of.
WITH RECURSIVE me AS (
    SELECT r.oid, r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = session_user
), standing AS (
    SELECT r.oid, CASE r.rolname WHEN 'pg_database_owner' THEN d.datdba ELSE r.oid END AS stands
    FROM pg_catalog.pg_roles r, pg_catalog.pg_database d WHERE d.datname = current_database()
), lesser AS MATERIALIZED (
    SELECT s.oid FROM standing s, me
    WHERE s.stands <> me.oid AND IS_LESSER(s.stands)
), steps AS (
    SELECT (s->>'unit')::int4 AS unit, s->'target'->>0 AS target_schema, s->'target'->>1 AS target_name,
           s->'object'->>0 AS object_schema, s->'object'->>1 AS object_name, (s->>'parses')::bool AS parses, (s->>'as_owner')::bool AS as_owner, (s->>'script')::bool AS script,
           (s->>'deep')::bool AS deep, s->'path' AS path, s->'names' AS names,
           s->'checks' AS checks, s->>'text' AS text
    FROM jsonb_array_elements($1::jsonb) AS s
), targets AS (
    SELECT s.unit, 'pg_catalog.pg_class'::regclass::oid AS cls, c.oid AS obj, c.relowner AS owner, n.oid AS nsp
    FROM steps s JOIN pg_catalog.pg_namespace n ON n.nspname = s.target_schema
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.target_name
    UNION ALL
    SELECT s.unit, 'pg_catalog.pg_type'::regclass::oid, t.oid, t.typowner, n.oid
    FROM steps s JOIN pg_catalog.pg_namespace n ON n.nspname = s.target_schema
    JOIN pg_catalog.pg_type t ON t.typnamespace = n.oid AND t.typname = s.target_name AND t.typtype = 'd'
), known AS MATERIALIZED (
    -- What names can mean: hardly any of those in a step are an object's that somebody made.
    SELECT c.relname::text AS name FROM pg_catalog.pg_class c WHERE c.oid >= 16384
    UNION SELECT t.typname FROM pg_catalog.pg_type t WHERE t.oid >= 16384
    UNION SELECT p.proname FROM pg_catalog.pg_proc p WHERE p.oid >= 16384
    UNION SELECT k.conname FROM pg_catalog.pg_constraint k WHERE k.oid >= 16384
    UNION SELECT f.srvname FROM pg_catalog.pg_foreign_server f
    UNION SELECT w.fdwname FROM pg_catalog.pg_foreign_data_wrapper w
), behind AS MATERIALIZED (
    -- What runs for a type, though nothing says so: casts from it and to it, and what its operator classes call.
    SELECT 'pg_catalog.pg_type'::regclass::oid AS cls, u.type AS obj, 'pg_catalog.pg_proc'::regclass::oid AS fcls, c.castfunc AS fobj
    FROM pg_catalog.pg_cast c CROSS JOIN LATERAL unnest(ARRAY[c.castsource, c.casttarget]) AS u (type)
    WHERE c.castfunc >= 16384 AND u.type >= 16384
    UNION
    SELECT x.cls, x.obj, f.cls, f.obj FROM pg_catalog.pg_opclass o
    CROSS JOIN LATERAL (VALUES ('pg_catalog.pg_type'::regclass::oid, o.opcintype), ('pg_catalog.pg_opclass'::regclass::oid, o.oid)) AS x (cls, obj)
    CROSS JOIN LATERAL (
        SELECT 'pg_catalog.pg_proc'::regclass::oid, a.amproc::oid FROM pg_catalog.pg_amproc a WHERE a.amprocfamily = o.opcfamily
        UNION ALL
        SELECT 'pg_catalog.pg_operator'::regclass::oid, a.amopopr FROM pg_catalog.pg_amop a WHERE a.amopfamily = o.opcfamily
    ) AS f (cls, obj) WHERE f.obj >= 16384 AND x.obj >= 16384
), names AS (
    SELECT s.unit, s.deep, s.path, n->>0 AS qualifier, n->>1 AS name, (n->>2)::bool AS call
    FROM steps s, jsonb_array_elements(s.names) AS n WHERE n->>1 IN (TABLE known)
), visible AS (
    SELECT n.unit, n.deep, n.name, n.call, ns.oid AS nsp FROM names n JOIN pg_catalog.pg_namespace ns
        ON CASE WHEN n.qualifier IS NULL THEN n.deep OR n.path ? ns.nspname::text ELSE ns.nspname = n.qualifier END
    WHERE ns.nspname NOT IN ('pg_catalog', 'information_schema', 'setpoint')
), parsed AS (
    -- What a literal can be turned into while a statement is parsed: the rows and types that it names, what its calls and operators
    -- take and give, and what these are made of.
    SELECT u.unit, u.type FROM (
        SELECT t.unit, c.reltype FROM targets t JOIN pg_catalog.pg_class c ON c.oid = t.obj
        WHERE t.cls = 'pg_catalog.pg_class'::regclass
        UNION
        SELECT t.unit, t.obj FROM targets t WHERE t.cls = 'pg_catalog.pg_type'::regclass
        UNION
        SELECT v.unit, c.reltype FROM visible v JOIN pg_catalog.pg_class c ON c.relnamespace = v.nsp AND c.relname = v.name
        UNION
        SELECT v.unit, t.oid FROM visible v JOIN pg_catalog.pg_type t ON t.typnamespace = v.nsp AND t.typname = v.name
        UNION
        SELECT v.unit, a.type FROM visible v JOIN pg_catalog.pg_proc p ON p.pronamespace = v.nsp AND p.proname = v.name
        CROSS JOIN LATERAL unnest(p.proargtypes::oid[] || p.proallargtypes || p.prorettype) AS a (type) WHERE v.call
        UNION
        SELECT s.unit, a.type FROM steps s JOIN pg_catalog.pg_operator o ON o.oid >= 16384 AND strpos(s.text, o.oprname::text) > 0
        CROSS JOIN LATERAL unnest(ARRAY[o.oprleft, o.oprright, o.oprresult]) AS a (type)
    ) AS u (unit, type) WHERE u.type >= 16384
    UNION
    SELECT p.unit, x.type FROM parsed p CROSS JOIN LATERAL (
        SELECT t.typelem FROM pg_catalog.pg_type t WHERE t.oid = p.type
        UNION ALL
        SELECT t.typbasetype FROM pg_catalog.pg_type t WHERE t.oid = p.type
        UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid
        WHERE t.oid = p.type AND a.attnum > 0
        UNION ALL
        SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE p.type IN (r.rngtypid, MULTIRANGE(r))
    ) AS x (type) WHERE x.type >= 16384
), roots AS (
    SELECT s.unit, s.deep, false AS named, t.cls, t.obj FROM targets t JOIN steps s ON s.unit = t.unit
    UNION
    SELECT v.unit, v.deep, false, 'pg_catalog.pg_class'::regclass::oid, c.oid
    FROM visible v JOIN pg_catalog.pg_class c ON c.relnamespace = v.nsp AND c.relname = v.name
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION
    SELECT s.unit, s.deep, false, 'pg_catalog.pg_type'::regclass::oid, p.type FROM parsed p JOIN steps s ON s.unit = p.unit
    UNION
    -- Casts between PostgreSQL's own types that somebody made.
    SELECT s.unit, s.deep, false, 'pg_catalog.pg_proc'::regclass::oid, c.castfunc
    FROM steps s JOIN pg_catalog.pg_cast c ON c.castfunc >= 16384 AND c.castsource < 16384 AND c.casttarget < 16384
    UNION
    -- Wrappers and servers have no schema.
    SELECT n.unit, n.deep, false, 'pg_catalog.pg_foreign_server'::regclass::oid, f.oid
    FROM names n JOIN pg_catalog.pg_foreign_server f ON f.srvname = n.name WHERE n.qualifier IS NULL
    UNION
    SELECT n.unit, n.deep, false, 'pg_catalog.pg_foreign_data_wrapper'::regclass::oid, w.oid
    FROM names n JOIN pg_catalog.pg_foreign_data_wrapper w ON w.fdwname = n.name WHERE n.qualifier IS NULL
    UNION
    SELECT v.unit, v.deep, false, 'pg_catalog.pg_proc'::regclass::oid, p.oid
    FROM visible v JOIN pg_catalog.pg_proc p ON p.pronamespace = v.nsp AND p.proname = v.name WHERE v.call
    UNION
    SELECT n.unit, n.deep, true, 'pg_catalog.pg_constraint'::regclass::oid, k.oid
    FROM names n JOIN targets t ON t.unit = n.unit JOIN pg_catalog.pg_constraint k ON k.conrelid = t.obj AND k.conname = n.name
    UNION
    SELECT s.unit, s.deep, false, 'pg_catalog.pg_operator'::regclass::oid, o.oid
    FROM steps s JOIN pg_catalog.pg_operator o ON o.oid >= 16384 AND strpos(s.text, o.oprname::text) > 0
), reach AS (
    SELECT r.* FROM roots r JOIN steps s ON s.unit = r.unit WHERE NOT s.parses AND NOT (s.as_owner AND EXISTS (
        SELECT FROM targets t JOIN lesser l ON l.oid = t.owner WHERE t.unit = s.unit))
    UNION
    SELECT p.unit, false, false, 'pg_catalog.pg_constraint'::regclass::oid, k.oid
    FROM parsed p JOIN pg_catalog.pg_constraint k ON k.contypid = p.type
    UNION
    SELECT s.unit, false, false, 'pg_catalog.pg_proc'::regclass::oid, p.oid
    FROM steps s CROSS JOIN jsonb_array_elements(s.checks) AS c JOIN pg_catalog.pg_proc p ON p.proname = c->>1 AND p.oid >= 16384
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace AND n.nspname = COALESCE(c->>0, n.nspname)
    UNION
    SELECT r.unit, r.deep, false, x.cls, x.obj FROM reach r CROSS JOIN LATERAL (
        -- Parts of a relation.
        SELECT d.classid AS cls, d.objid AS obj FROM pg_catalog.pg_depend d
        WHERE r.cls = 'pg_catalog.pg_class'::regclass AND d.refclassid = r.cls AND d.refobjid = r.obj AND CASE d.classid
            WHEN 'pg_catalog.pg_class'::regclass THEN d.deptype <> 'n'
            WHEN 'pg_catalog.pg_constraint'::regclass THEN r.deep OR d.deptype <> 'n'
            WHEN 'pg_catalog.pg_rewrite'::regclass THEN d.deptype = 'i' OR r.deep AND d.deptype = 'a'
            WHEN 'pg_catalog.pg_attrdef'::regclass THEN r.deep OR EXISTS (
                SELECT FROM pg_catalog.pg_attrdef e JOIN pg_catalog.pg_attribute a
                    ON a.attrelid = e.adrelid AND a.attnum = e.adnum
                WHERE e.oid = d.objid AND a.attgenerated <> '')
            WHEN 'pg_catalog.pg_trigger'::regclass THEN r.deep AND d.deptype <> 'n'
            WHEN 'pg_catalog.pg_policy'::regclass THEN r.deep AND d.deptype <> 'n'
            -- The planner folds their expressions, like those of indexes, whoever the query is for.
            WHEN 'pg_catalog.pg_statistic_ext'::regclass THEN d.deptype <> 'n'
            ELSE false END
        UNION ALL
        -- What something uses. What a function uses is its own affair: whoever owns it answers for that.
        SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_depend d
        WHERE r.cls <> 'pg_catalog.pg_proc'::regclass AND d.classid = r.cls AND d.objid = r.obj AND (
            d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass,
                             'pg_catalog.pg_type'::regclass, 'pg_catalog.pg_cast'::regclass, 'pg_catalog.pg_opclass'::regclass,
                             'pg_catalog.pg_foreign_server'::regclass, 'pg_catalog.pg_foreign_data_wrapper'::regclass)
            OR d.refclassid = 'pg_catalog.pg_class'::regclass AND (
                r.cls = 'pg_catalog.pg_rewrite'::regclass
                OR r.cls = 'pg_catalog.pg_constraint'::regclass AND (r.deep OR r.named)))
        UNION ALL
        SELECT 'pg_catalog.pg_constraint'::regclass, k.oid FROM pg_catalog.pg_constraint k
        WHERE r.cls = 'pg_catalog.pg_type'::regclass AND k.contypid = r.obj
        UNION ALL
        SELECT r.cls, a.atttypid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid
        WHERE r.cls = 'pg_catalog.pg_type'::regclass AND t.oid = r.obj AND a.atttypid >= 16384
        UNION ALL
        SELECT b.fcls, b.fobj FROM behind b WHERE b.cls = r.cls AND b.obj = r.obj
        UNION ALL
        SELECT r.cls, i.inhrelid FROM pg_catalog.pg_inherits i
        WHERE r.cls = 'pg_catalog.pg_class'::regclass AND i.inhparent = r.obj
        UNION ALL
        SELECT r.cls, i.inhparent FROM pg_catalog.pg_inherits i
        WHERE r.cls = 'pg_catalog.pg_class'::regclass AND i.inhrelid = r.obj
    ) AS x
), texts AS (
    -- Expressions that lesser roles wrote: some of PostgreSQL's own functions run SQL.
    SELECT r.unit, x.tree, COALESCE(c.oid::regclass::text, y.oid::regtype::text) AS name,
           pg_get_userbyid(COALESCE(c.relowner, y.typowner)) AS owner FROM reach r CROSS JOIN LATERAL (
        SELECT k.conrelid AS rel, k.contypid AS type, k.conbin::text AS tree FROM pg_catalog.pg_constraint k
        WHERE r.cls = 'pg_catalog.pg_constraint'::regclass AND k.oid = r.obj
        UNION ALL
        SELECT e.adrelid, 0, e.adbin::text FROM pg_catalog.pg_attrdef e
        WHERE r.cls = 'pg_catalog.pg_attrdef'::regclass AND e.oid = r.obj
        UNION ALL
        SELECT t.tgrelid, 0, t.tgqual::text FROM pg_catalog.pg_trigger t
        WHERE r.cls = 'pg_catalog.pg_trigger'::regclass AND t.oid = r.obj
        UNION ALL
        SELECT w.ev_class, 0, w.ev_action::text || w.ev_qual::text FROM pg_catalog.pg_rewrite w
        WHERE r.cls = 'pg_catalog.pg_rewrite'::regclass AND w.oid = r.obj
        UNION ALL
        SELECT p.polrelid, 0, concat(p.polqual::text, p.polwithcheck::text) FROM pg_catalog.pg_policy p
        WHERE r.cls = 'pg_catalog.pg_policy'::regclass AND p.oid = r.obj
        UNION ALL
        SELECT s.stxrelid, 0, STATISTICS(s) FROM pg_catalog.pg_statistic_ext s
        WHERE r.cls = 'pg_catalog.pg_statistic_ext'::regclass AND s.oid = r.obj
        UNION ALL
        SELECT 0, t.oid, t.typdefaultbin::text FROM pg_catalog.pg_type t
        WHERE r.cls = 'pg_catalog.pg_type'::regclass AND t.oid = r.obj AND t.typdefaultbin IS NOT NULL
    ) AS x LEFT JOIN pg_catalog.pg_class c ON c.oid = x.rel LEFT JOIN pg_catalog.pg_type y ON y.oid = x.type
    WHERE COALESCE(c.relowner, y.typowner) IN (SELECT l.oid FROM lesser l)
), harmful AS MATERIALIZED (
    -- What does more than compute, so that it does harm to whoever calls it with arguments of somebody else's choice.
    SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE p.proowner NOT IN (SELECT l.oid FROM lesser l) AND CASE
        -- Who cannot aim it at anything gains nothing: it takes no argument, or times and fractions, and is for everybody.
        WHEN p.provolatile = 'v' THEN NOT (
            p.oid < 16384 AND p.proname IN ('nextval', 'random')
            OR p.prorettype <> 'trigger'::regtype AND has_function_privilege('public', p.oid, 'EXECUTE') AND p.proargtypes::oid[]
                <@ ARRAY['float8', 'numeric', 'interval', 'timestamptz', 'timestamp']::regtype[]::oid[])
        -- What reads whole tables as XML runs the views among them, though it is called stable.
        WHEN p.oid < 16384 THEN p.provolatile = 's' AND p.proname ~ '_to_xml'
        -- So do others that are given the text of a query, or names to put into one (crosstab).
        ELSE p.provolatile = 's' AND (p.proretset OR l.lanname NOT IN ('c', 'internal'))
            AND p.proargtypes::oid[] && ARRAY['text', 'varchar', 'cstring', 'refcursor', 'name', 'regclass']::regtype[]::oid[]
        END
), scripts AS (
    -- Where the names in an extension's script are looked up beside pg_catalog: its schema, said or as it is, and those that it needs.
    SELECT s.unit, x.nsp FROM steps s CROSS JOIN LATERAL (
        SELECT n.oid AS nsp FROM jsonb_array_elements(s.names) AS m JOIN pg_catalog.pg_namespace n ON n.nspname = m->>1
        UNION
        SELECT e.extnamespace FROM jsonb_array_elements(s.names) AS m JOIN pg_catalog.pg_extension e ON e.extname = m->>1
        UNION
        SELECT e.extnamespace FROM jsonb_array_elements(s.names) AS m
        JOIN pg_catalog.pg_available_extension_versions v ON v.name = m->>1
        JOIN pg_catalog.pg_extension e ON e.extname = ANY (v.requires)
        OFFSET 0
    ) AS x WHERE s.script
), found AS (
    SELECT DISTINCT s.unit, format('%s, which %s owns', p.oid::regprocedure, pg_get_userbyid(p.proowner)) AS what
    FROM scripts s JOIN pg_catalog.pg_proc p ON p.pronamespace = s.nsp WHERE p.proowner IN (SELECT l.oid FROM lesser l)
    UNION
    SELECT s.unit, format('operator %s, which %s owns', o.oid::regoperator, pg_get_userbyid(o.oprowner))
    FROM scripts s JOIN pg_catalog.pg_operator o ON o.oprnamespace = s.nsp WHERE o.oprowner IN (SELECT l.oid FROM lesser l)
    UNION
    SELECT DISTINCT r.unit, format('%s, which %s owns', p.oid::regprocedure, pg_get_userbyid(p.proowner)) AS what
    FROM reach r JOIN pg_catalog.pg_proc p ON p.oid = r.obj
    WHERE r.cls = 'pg_catalog.pg_proc'::regclass AND p.proowner IN (SELECT l.oid FROM lesser l)
    UNION
    SELECT t.unit, format('%s, in an expression of %s, which %s owns', p.oid::regprocedure, t.name, t.owner)
    FROM texts t CROSS JOIN LATERAL regexp_matches(t.tree, ':(?:funcid|opfuncid) ([0-9]+)', 'g') AS m (part)
    JOIN harmful p ON p.oid = m.part[1]::oid
    UNION
    SELECT r.unit, format('%s, for operator %s, which %s owns', p.oid::regprocedure, o.oid::regoperator, pg_get_userbyid(o.oprowner))
    FROM reach r JOIN pg_catalog.pg_operator o ON o.oid = r.obj JOIN harmful p ON p.oid = o.oprcode
    WHERE r.cls = 'pg_catalog.pg_operator'::regclass AND o.oprowner IN (SELECT l.oid FROM lesser l)
    UNION
    SELECT r.unit, format('%s, for trigger %I on %s, which %s owns', p.oid::regprocedure, t.tgname, c.oid::regclass, pg_get_userbyid(c.relowner))
    FROM reach r JOIN pg_catalog.pg_trigger t ON t.oid = r.obj JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN harmful p ON p.oid = t.tgfoid AND p.oid >= 16384
    WHERE r.cls = 'pg_catalog.pg_trigger'::regclass AND c.relowner IN (SELECT l.oid FROM lesser l)
), named AS MATERIALIZED (
    SELECT f.unit, array_agg(f.what ORDER BY f.what) AS functions FROM found f GROUP BY f.unit
), out_of_reach AS MATERIALIZED (
    -- The first table that a step reaches and the owner of its target does not, per target: once for all steps, not by a look per step.
    SELECT DISTINCT ON (t.unit, t.cls, t.obj) t.unit, t.cls, t.obj,
        format('%s does not own %s', pg_get_userbyid(t.owner), c.oid::regclass) AS what
    FROM reach r JOIN targets t ON t.unit = r.unit JOIN pg_catalog.pg_class c ON c.oid = r.obj
    WHERE r.cls = 'pg_catalog.pg_class'::regclass AND c.relkind IN ('r', 'p', 'f')
      AND NOT pg_has_role(t.owner, c.relowner, 'USAGE') AND NOT has_table_privilege(t.owner, c.oid, 'REFERENCES')
    ORDER BY t.unit, t.cls, t.obj, c.oid
)
SELECT s.unit, pg_get_userbyid(t.owner)::text, t.owner IN (SELECT l.oid FROM lesser l),
    CASE
        WHEN NOT pg_has_role(me.oid, t.owner, 'USAGE') OR NOT pg_has_role(me.oid, t.owner, '{set}')
            THEN format('%s may not become it', session_user)
        WHEN NOT has_database_privilege(me.oid, current_database(), 'TEMP')
            THEN format('%s may not make temporary tables', session_user)
        WHEN NOT me.rolsuper AND NOT has_database_privilege(t.owner, current_database(), 'TEMP')
            THEN format('%s may not make temporary tables', pg_get_userbyid(t.owner))
        WHEN NOT has_schema_privilege(t.owner, t.nsp, 'USAGE')
            THEN format('%s has no USAGE on schema %I', pg_get_userbyid(t.owner), s.target_schema)
        WHEN NOT pg_has_role(t.owner, b.typowner, 'USAGE')
            THEN format('%s does not own %I.%I', pg_get_userbyid(t.owner), s.object_schema, s.object_name)
        ELSE o.what
    END,
    has_schema_privilege(t.owner, t.nsp, 'CREATE'),
    COALESCE(f.functions, ARRAY[]::text[])
FROM me CROSS JOIN steps s LEFT JOIN targets t ON t.unit = s.unit
LEFT JOIN pg_catalog.pg_namespace bn ON bn.nspname = s.object_schema
LEFT JOIN pg_catalog.pg_type b ON b.typnamespace = bn.oid AND b.typname = s.object_name
LEFT JOIN out_of_reach o ON o.unit = t.unit AND o.cls = t.cls AND o.obj = t.obj LEFT JOIN named f ON f.unit = s.unit ORDER BY s.unit
