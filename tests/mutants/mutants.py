#!/usr/bin/env python3
"""Tests of the tests: builds with one deliberate fault each, which the simulation or a unit test must catch.

A mutant is one edit of one source file: a text that occurs exactly once, and what stands there instead. The tree is built once,
without sanitizers; for each mutant its one file is compiled and linked in front of the others. A text that is not found any more
fails the run: the code has moved on and the edit must follow.

usage: mutants.py [--build DIR] [--jobs N] [--only NAME] [--seeds N] [--list]
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS=-O1 -g0", "-DCMAKE_CXX_FLAGS=-O1 -g0"]

# (name, file, text, replacement, killer): killer is "sim" or a unit test's name.
MUTANTS = [
    # ---- a sync that does not happen ----
    ("round_not_synced", "log/log.c", "if (in_active && log->io->sync(log->io, log->active->file, err) != FR_OK)", "if (in_active && err == NULL)", "sim"),
    ("segment_not_synced_before_seal", "log/log.c",
     "log->allocated = segment->bytes;\n    if (io->sync(io, segment->file, err) != FR_OK) return fr_log_sticky(log, err, \"fdatasync\");",
     "log->allocated = segment->bytes;", "test_log_faults"),
    ("seal_not_synced", "log/log.c",
     "    if (io->sync(io, segment->file, err) != FR_OK) return fr_log_sticky(log, err, \"fdatasync\");\n    slot.round++;", "    slot.round++;",
     "test_log_faults"),
    ("segment_name_not_synced", "log/log.c", "if (!code) code = io->sync_dir(io, log->dir, err);", "", "sim"),
    ("new_segment_not_synced", "log/log.c", "if (!code) code = io->sync(io, segment->file, err);", "", "sim"),
    ("log_dir_not_synced_in_parent", "log/log_open.c", "if (count == 0) FR_TRY(sync_parent(log->io, log->dir, err));", "", "sim"),
    ("recovered_tail_not_synced", "log/log_open.c", "if (!zero || (above && !log->tail_unsure))\n        FR_TRY(io->sync(io, segment->file, err));", "", "test_log_faults"),
    ("clean_pages_built_on", "log/log_open.c",
     "fr_code code = write_again(io, segment->file, slot->durable_bytes, end_bytes, err);", "fr_code code = FR_OK;", "sim"),
    ("compacted_segment_not_synced", "log/log_compact.c", "return io->sync(io, segment->file, err);", "return FR_OK;", "test_log_faults"),
    ("compaction_commit_not_synced", "log/log_compact.c", "if (io->sync_dir(io, log->dir, err) != FR_OK)", "if (err == NULL)", "test_compact"),
    ("switch_order_not_synced", "log/log_compact.c",
     "    FR_TRY(io->sync_dir(io, c->log->dir, err));\n    fr_segment_path(swap,", "    fr_segment_path(swap,", "test_compact"),
    ("chunks_not_synced", "server/engine/snapshot.c", "if (code == FR_OK) code = w->io->sync(w->io, w->file, err);", "", "sim"),
    ("chunks_name_not_synced", "server/engine/snapshot.c", "if (code == FR_OK) code = w->io->sync_dir(w->io, dir, err);", "", "test_engine_cuts"),
    ("manifest_not_synced", "server/engine/manifest.c", "if (code == FR_OK) code = io->sync(io, file, err);", "", "sim"),
    ("manifest_name_not_synced", "server/engine/manifest.c", "if (code == FR_OK) code = io->sync_dir(io, dir, err);", "", "sim"),
    ("producers_not_synced", "server/engine/producer_state.c", "if (code == FR_OK) code = db->io->sync(db->io, file, err);", "", "sim"),
    # ---- answers that come too early, errors that are forgotten ----
    ("answer_before_sync", "server/engine/syncer.c", "    int64_t start = db->io->mono_us(db->io);\n", "    if (err != NULL) return FR_OK;\n    int64_t start = db->io->mono_us(db->io);\n",
     "sim"),
    ("failed_sync_is_retried", "server/engine/syncer.c", "fr_engine_set_state(db, FR_ERR_READ_ONLY, cause->text);", "(void)cause;", "sim"),
    ("log_forgets_a_failed_sync", "log/log.c", "atomic_store_explicit(&log->state, FR_ERR_READ_ONLY, memory_order_release);", "", "test_log"),
    # ---- checks that are not made ----
    ("batch_crc_unchecked", "log/batch.c", "uint32_t crc = fr_simd_crc32c(0, data + 21, whole - 21);", "uint32_t crc = fr_load_be32(data + 17);", "sim"),
    ("slot_crc_unchecked", "log/segment.c", "if (fr_load_le32(at + 36) != fr_simd_crc32c(0, at, 36)) return slot;", "", "test_log_guards"),
    ("header_crc_unchecked", "log/segment.c", "if (fr_load_le32(page + 508) != fr_simd_crc32c(0, page, 508))", "if (page == NULL)", "test_log_guards"),
    ("chunk_crc_unchecked", "server/engine/snapshot.c", "(data == NULL || fr_simd_crc32c(0, data, c->size) != c->crc32c)", "data == NULL", "test_engine_snapshot"),
    ("manifest_crc_unchecked", "server/engine/manifest.c", "if (fr_load_le32(bytes + size - 4) != fr_simd_crc32c(0, bytes, size - 4))", "if (bytes == NULL)", "test_engine_snapshot"),
    ("base_offset_unchecked", "log/segment.c", "header_out->baseOffset != c->expected || header_out->partitionLeaderEpoch != 0", "header_out->partitionLeaderEpoch != 0", "test_log"),
    # ---- recovery and undo ----
    ("torn_tail_not_cut", "log/log_open.c", "        FR_TRY(io->truncate(io, segment->file, end_bytes, err));\n", "", "test_log"),
    ("mark_names_its_own_round", "log/log.c", ".durable_bytes = log->synced.bytes,\n                    .durable_offset = FR_MAX(log->synced.offset, segment->base),",
     ".durable_bytes = segment->bytes,\n                    .durable_offset = FR_MAX(end, segment->base),", "sim"),
    ("failed_append_leaves_its_tail", "log/log.c", "if (log->tail_dirty) code = clean_tail(log, err);", "", "test_log_guards"),
    ("half_a_request_stays", "server/engine/writer.c", "        undo(db, c, p, i);\n", "        forget_ids(c, p);\n", "sim"),
    ("event_ids_of_the_refused_stay", "server/engine/writer.c", "    forget_ids(c, p);\n    for (uint32_t i = 0; i < failed; i++) {", "    for (uint32_t i = 0; i < failed; i++) {", "sim"),
    ("torn_requests_stay", "server/engine/recover.c", "if (c->shard_count < 2) return FR_OK;", "if (c != NULL) return FR_OK;", "sim"),
    ("older_manifest_left_behind", "server/engine/keeper.c", "        FR_TRY(fr_snapshot_equalise(shard, err));\n", "", "test_engine_limits"),
    ("named_chunks_removed", "server/engine/snapshot.c", "if (state->manifests[i]->chunks[c].generation == generation) return;", "if (i == 0 && state->manifests[i]->chunks[c].generation == generation) return;", "test_engine_snapshot"),
    ("newest_is_never_the_older", "server/engine/manifest.c", "if (*count_out == 2 && found[1]->generation > found[0]->generation) {", "if (*count_out == 2 && found[1] == found[0]) {", "test_engine_snapshot"),
    ("tombstones_go_at_once", "log/log_compact.c", "answer = horizon_passed ? DROP : KEEP_TOMBSTONE;", "answer = DROP;", "test_compact"),
    # ---- what searches see, and when ----
    ("rows_seen_before_their_request_is_whole", "server/engine/applier.c", "        fr_apply_tally tally = {0};\n        FR_TRY(fr_engine_apply_record(&c->",
     "        fr_apply_tally tally = {0};\n        atomic_store(&c->visible, commit->number);\n        FR_TRY(fr_engine_apply_record(&c->", "test_engine_history"),
    ("partitions_seen_at_two_moments", "server/engine/query.c", "        FR_TRY(fr_table_search(table, s->scratch, &x->at, s->found, &count, &info, err));",
     "        x->at.visible = atomic_load(&x->collection->visible);\n        FR_TRY(fr_table_search(table, s->scratch, &x->at, s->found, &count, &info, err));",
     "test_engine_history"),
    ("answered_before_visible", "server/engine/applier.c", "        publish(db, commit);\n        answer(db, commit);\n        care(db, commit);",
     "        answer(db, commit);\n        publish(db, commit);\n        care(db, commit);", "test_engine_history"),
    ("dead_rows_seen_a_moment_longer", "index/rows.c", "return atomic_load_explicit(&r->death, memory_order_acquire) > visible ? row : FR_ROW_NONE;",
     "return atomic_load_explicit(&r->death, memory_order_acquire) >= visible ? row : FR_ROW_NONE;", "test_engine_history"),
    ("compaction_keeps_the_oldest", "log/log_compact.c", "!c->keep(c->user, record.key, record.offset, tombstone)", "c->keep(c->user, record.key, record.offset, tombstone)", "sim"),
]


def build(folder):
    units = sorted({m[4] for m in MUTANTS if m[2] is not None and m[4] != "sim"})
    subprocess.run(["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", *FLAGS], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", str(folder), "--target", "sim", *units], check=True, stdout=subprocess.DEVNULL)
    commands = {}
    for entry in json.loads((folder / "compile_commands.json").read_text()):
        if "room_" in entry["command"]:
            commands[os.path.relpath(entry["file"], ROOT)] = shlex.split(entry["command"])
    links = {}
    for name in ["sim", *units]:
        lines = subprocess.run(["ninja", "-C", str(folder), "-t", "commands", name], check=True, capture_output=True, text=True).stdout
        line = lines.strip().splitlines()[-1]
        links[name] = shlex.split(line.split("&&")[1])
    return commands, links


def judge(mutant, folder, commands, links, seeds, scratch):
    name, path, text, instead, killer = mutant
    source = (ROOT / path).read_text()
    if source.count(text) != 1:
        return name, False, f"the text to change stands {source.count(text)} times in {path}: mend the edit in tests/mutants/mutants.py"
    work = pathlib.Path(scratch) / name
    work.mkdir()
    changed, made, program = work / pathlib.Path(path).name, work / "mutant.o", work / killer
    changed.write_text(source.replace(text, instead))
    command = list(commands[path])
    if "ccache" in command[0]:
        command = command[1:]
    command[command.index("-o") + 1] = str(made)
    command[command.index("-c") + 1] = str(changed)
    command = [a for a in command if a != "-Werror"] + ["-w"]
    compiled = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if compiled.returncode:
        return name, False, "does not compile: " + compiled.stderr.strip().splitlines()[0]
    link = list(links[killer])
    first = next(i for i, a in enumerate(link) if a.endswith(".o"))
    link.insert(first, str(made))
    link[link.index("-o") + 1] = str(program)
    linked = subprocess.run(link, cwd=folder, capture_output=True, text=True)
    if linked.returncode:
        return name, False, "does not link: " + linked.stderr.strip().splitlines()[-1]
    arguments = ["--seeds", str(seeds)] if killer == "sim" else []
    try:
        ran = subprocess.run([str(program), *arguments], cwd=work, capture_output=True, text=True, timeout=120, errors="replace")
    except subprocess.TimeoutExpired:
        return name, True, f"{killer}: does not end"
    if ran.returncode == 0:
        return name, False, f"{killer} did not notice"
    words = (ran.stderr + ran.stdout).strip().splitlines()
    found = [w for w in words if not w.startswith("time=") and ("seed " in w or "ERROR" in w or "FAILED" in w or "ssert" in w)]
    return name, True, f"{killer}: " + (found[0] if found else f"status {ran.returncode}")[:140]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=str(ROOT / "build" / "mutants"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--seeds", type=int, default=400)
    parser.add_argument("--only")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    mutants = [m for m in MUTANTS if m[2] is not None and options.only in (None, m[0])]
    if options.list:
        print("\n".join(f"{m[0]}: {m[1]}, caught by {m[4]}" for m in mutants))
        return 0
    begun = time.time()
    folder = pathlib.Path(options.build)
    commands, links = build(folder)
    caught = 0
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = [pool.submit(judge, m, folder, commands, links, options.seeds, scratch) for m in mutants]
        for job in jobs:
            name, good, why = job.result()
            caught += good
            print(f"{'caught' if good else 'ALIVE '} {name}: {why}", flush=True)
    print(f"{time.time() - begun:.0f} s")
    print(f"mutants caught {caught} of {len(mutants)}")
    return 0 if caught == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
