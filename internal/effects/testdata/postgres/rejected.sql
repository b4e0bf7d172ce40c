-- What the grammar does not know must not make its neighbours opaque.
DROP TABLE before;
CREATE TABLE v (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL);
UPDATE t SET ä = 'ö;', b c WHERE x = 1;
CREATE FUNCTION atomic() RETURNS int BEGIN ATOMIC SELECT 1; SELEC 2; END; DELETE FROM between;
ALTER TABLE t MERGE PARTITIONS (a, b) INTO c;
SELECT $tag$ ; $tag$, E'\'; ', U&"a;b" FRO x;
/* a /* nested ; */ comment */ DROP TABLE after
