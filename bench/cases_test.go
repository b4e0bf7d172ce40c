//go:build unix

package bench

import "github.com/dbrollback/dbrollback/internal/testdb"

const (
	pg, my, ma, lite = testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB, testdb.OnSQLite

	dropTable = "-- +goose Up\nDROP TABLE big;\n-- +goose Down\nCREATE TABLE big (" + columns + ");\nCREATE INDEX big_score ON big (score);\nCREATE INDEX big_name ON big (name);\n"
	truncate  = "-- +goose Up\nTRUNCATE TABLE big;\n-- +goose Down\nSELECT 1;\n"
	dropNote  = "-- +goose Up\nALTER TABLE big DROP COLUMN note;\n-- +goose Down\nALTER TABLE big ADD COLUMN note varchar(40);\n"
	shortNote = "-- +goose Up\nALTER TABLE big ALTER COLUMN note TYPE varchar(2) USING left(note, 2);\n-- +goose Down\nALTER TABLE big ALTER COLUMN note TYPE varchar(40);\n"
	updateAll = "-- +goose Up\nUPDATE big SET note = 'gone';\n-- +goose Down\nSELECT 1;\n"

	copied  = "CREATE TABLE big_copy AS SELECT * FROM big"
	rewrite = "ALTER TABLE big ALTER COLUMN score TYPE bigint"
	modify  = "ALTER TABLE big MODIFY score bigint, ALGORITHM=COPY"
)

// noteBack are the statements that give a dropped column back in the usual way; the last one is the one that counts.
var noteBack = []string{"CREATE TABLE big_copy AS SELECT id, note FROM big", "CREATE INDEX big_copy_id ON big_copy (id)", "ALTER TABLE big DROP COLUMN note",
	"ALTER TABLE big ADD COLUMN note varchar(40)"}

const (
	updateFrom = "UPDATE big SET note = big_copy.note FROM big_copy WHERE big_copy.id = big.id"
	updateJoin = "UPDATE big JOIN big_copy ON big_copy.id = big.id SET big.note = big_copy.note"
)

var cases = []compared{
	{"up of small migrations", pg, "", small, withGoose, "goose up", 1.3},
	{"up of small migrations", lite, "", small, withGoose, "goose up", 1.3},
	{"up of small migrations", my, "", small, withGoose, "goose up", 1.3},
	{"up of small migrations", ma, "", small, withGoose, "goose up", 1.3},
	{"up of 100 small migrations, each", pg, "", each(100), each(10), "each of 10", 1.5},
	{"up of 1,000 small migrations, each", pg, "", each(1000), each(100), "each of 100", 1.5},
	{"up of 1,000 small migrations, each", lite, "", each(1000), each(100), "each of 100", 1.5},
	{"up of 1,000 small migrations, each", my, "", each(1000), each(100), "each of 100", 1.5},
	{"up of 1,000 small migrations, each", ma, "", each(1000), each(100), "each of 100", 1.5},
	{"up of mixed migrations", pg, "", mixed, mixedWithGoose, "goose up", 0},

	{"whole table copied, under lock", pg, "", blocked(truncate, false), bare(copied), "CREATE TABLE AS", 1.15},
	{"whole table copied, with checksum", pg, "", upCopied(truncate), bare(copied), "CREATE TABLE AS", 1.5},
	{"whole table copied, under lock, dump", pg, "", blocked(truncate, false), pgDump, "pg_dump -Fc", 0.5},
	{"whole table copied, under lock", ma, "", blocked(truncate, false), bare(copied), "CREATE TABLE AS", 1.15},
	{"whole table copied, with checksum", ma, "", upCopied(truncate), bare(copied), "CREATE TABLE AS", 1.5},
	{"whole table copied, with checksum", my, "", upCopied(truncate), bare(copied), "CREATE TABLE AS", 1.5},
	{"snapshot of the whole table", ma, "", manual, mariadbDump, "mariadb-dump", 0},
	{"snapshot of the whole table", lite, "", manual, sqliteBackup, "sqlite3 .backup", 0},

	{"DROP TABLE, up", pg, "", up(dropTable), tenth(up(dropTable)), "a small table", 2},
	{"DROP TABLE, rollback", pg, "", rollback(dropTable), tenth(rollback(dropTable)), "a small table", 2},
	{"DROP TABLE, up", ma, "", up(dropTable), tenth(up(dropTable)), "a small table", 2},
	{"DROP TABLE, rollback", ma, "", rollback(dropTable), tenth(rollback(dropTable)), "a small table", 2},
	{"DROP TABLE, up", my, "", up(dropTable), tenth(up(dropTable)), "a small table", 2},
	{"DROP TABLE, rollback", my, "", rollback(dropTable), tenth(rollback(dropTable)), "a small table", 2},
	{"TRUNCATE, up", pg, "", up(truncate), tenth(up(truncate)), "a small table", 2},
	{"TRUNCATE, rollback", pg, "", rollback(truncate), tenth(rollback(truncate)), "a small table", 2},

	{"DROP COLUMN, up", pg, "", up(dropNote), bare("CREATE TABLE big_copy AS SELECT id, note FROM big"), "CREATE TABLE AS of it", 0},
	{"DROP COLUMN, rollback", pg, "", rollback(dropNote), bare(rewrite), "a plain rewrite", 1.3},
	{"DROP COLUMN, rollback, usual way", pg, "", rollback(dropNote), bare(append(noteBack, updateFrom)...), "UPDATE … FROM", 0.4},
	{"change of type, rollback", pg, "", rollback(shortNote), bare(append(noteBack, updateFrom)...), "UPDATE … FROM", 0},
	{"DROP COLUMN, longest wait of a writer", pg, "", blocked(dropNote, false), bare("CREATE TABLE big_copy AS SELECT id, note FROM big"), "CREATE TABLE AS of it", 0},
	{"DROP COLUMN, rollback, longest wait", pg, "", blocked(dropNote, true), bare(rewrite), "a plain rewrite", 0},
	{"DROP COLUMN, longest wait of a writer", ma, "", blocked(dropNote, false), bare("CREATE TABLE big_copy AS SELECT id, note FROM big"), "CREATE TABLE AS of it", 0},
	{"DROP COLUMN, rollback, longest wait", ma, "", blocked(dropNote, true), bare(modify), "a plain rewrite", 0},
	{"DROP COLUMN, rollback", my, "", rollback(dropNote), bare(modify), "a plain rewrite", 1.3},
	{"DROP COLUMN, rollback, usual way", my, "", rollback(dropNote), bare(append(noteBack, updateJoin)...), "UPDATE … JOIN", 0},
	{"DROP COLUMN, rollback", ma, "", rollback(dropNote), bare(modify), "a plain rewrite", 1.3},
	{"DROP COLUMN, rollback, usual way", ma, "", rollback(dropNote), bare(append(noteBack, updateJoin)...), "UPDATE … JOIN", 0.67},

	{"UPDATE of all rows, up", pg, "", up(updateAll), bare("UPDATE big SET note = 'gone'"), "the bare UPDATE", 1.3},
	{"UPDATE of all rows, up", my, "", up(updateAll), bare("UPDATE big SET note = 'gone'"), "the bare UPDATE", 0},
	{"UPDATE of all rows, up", ma, "", up(updateAll), bare("UPDATE big SET note = 'gone'"), "the bare UPDATE", 1.6},
	{"UPDATE of all rows, up", lite, "", up(updateAll), bare("UPDATE big SET note = 'gone'"), "the bare UPDATE", 0},

	{"restore --mode replace, a tenth differs", pg, "", replace(10), pgRestore, "pg_restore", 0.5},
	{"restore --mode replace, all differ", pg, "", replace(1), pgRestore, "pg_restore", 1},
	{"restore --mode replace, a tenth differs", ma, "", replace(10), mariadbLoad, "loading a dump", 0.5},

	{"restore of 1,000 rows, journal on", pg, "", journalled, few(journalled), "the same in 20,000 rows", 2},
	{"restore of 1,000 rows, journal on", my, "", journalled, few(journalled), "the same in 20,000 rows", 2},
	{"restore of 1,000 rows, journal on", ma, "", journalled, few(journalled), "the same in 20,000 rows", 2},
	{"restore of 1,000 rows, journal on", lite, "", journalled, few(journalled), "the same in 20,000 rows", 2},
	{"writes like pgbench's, journal on", pg, "", writes(on, synced), writes(off, synced), "journal off", 1.25},
	{"writes like pgbench's, journal by slot", pg, "", writes(slot, synced), writes(off, synced), "journal off", 1.05},
	{"writes like pgbench's, slot and reader", pg, "", writes(slotRead, synced), writes(off, synced), "journal off", 0},
	{"writes like pgbench's, journal on", my, "", writes(on, synced), writes(off, synced), "journal off", 1.25},
	{"writes like pgbench's, journal on", ma, "", writes(on, synced), writes(off, synced), "journal off", 1.25},
	{"writes like pgbench's, journal on", lite, "", writes(on, synced), writes(off, synced), "journal off", 1.25},
	{"writes like pgbench's, binary log", my, "", writes(off, synced), writes(off, unlogged), "without one", 1.05},
	{"writes like pgbench's, binary log", ma, "", writes(off, synced), writes(off, unlogged), "without one", 1.05},
	{"writes that wait for no disk, journal on", pg, "", writes(on, unsynced), writes(off, unsynced), "journal off", 0},
	{"writes that wait for no disk, empty trigger", pg, "", writes(empty, unsynced), writes(off, unsynced), "no trigger", 0},
	{"writes that wait for no disk, old rows only", pg, "", writes(plain, unsynced), writes(off, unsynced), "no trigger", 0},
	{"writes that wait for no disk, journal on", my, "", writes(on, unsynced), writes(off, unsynced), "journal off", 0},
	{"writes that wait for no disk, journal on", ma, "", writes(on, unsynced), writes(off, unsynced), "journal off", 0},

	{"memory above start, up and rollback", pg, "MiB", memory(dropNote), fixed(64), "64 MiB", 1},
	{"memory above start, up and rollback", my, "MiB", memory(dropNote), fixed(64), "64 MiB", 1},
	{"memory above start, up and rollback", ma, "MiB", memory(dropNote), fixed(64), "64 MiB", 1},
	{"memory above start, up and rollback", lite, "MiB", memory(dropNote), fixed(64), "64 MiB", 1},
	{"lint of one file, from the start", lite, "", start("lint"), fixed(0.06), "60 ms", 1},
	{"status, from the start", lite, "", start("status"), fixed(0.06), "60 ms", 1},
}

// measured are cases with a peer that is not on every machine: only make bench runs them.
var measured = []compared{
	{"snapshot of the whole table, parallel dump", ma, "", manual, mydumper, "mydumper", 0},
	{"restore, a tenth differs, parallel load", ma, "", replace(10), myloader, "myloader", 0},
	{"lint of 400 migrations", pg, "", lintHistory, squawkHistory, "squawk 2.66", 1},
}
