"""Take one guard after the other out of a copy of the package: the test that holds its promise must fail then.

``python tools/mutants.py`` tries all, ``python tools/mutants.py fencing`` those whose promise holds that word. Each is
a text that stands once in one file, what is put in its place, and the test; ``docs/promises.md`` shows them as a table.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "airflow_provider_kore"
SECONDS = 300.0
"""How long a test may take: a mutant may make it run for ever, and is killed by that, too."""
ALL_SECONDS = 1_800.0
"""How long all of them may take, with all guards in place."""


@dataclass(frozen=True)
class Mutant:
    """A guard to take out.

    :param promise: what it guards, in a few words.
    :param file: below the package.
    :param guard: stands once in the file.
    :param instead: put in its place.
    :param test: below ``tests``, as pytest names it.
    """

    promise: str
    file: str
    guard: str
    instead: str
    test: str


MUTANTS = (
    Mutant(
        "complete: a hole in the list is not its end",
        "walk/pagination.py",
        "if total is not None and total > offset:",
        "if False:",
        "api/test_pagination.py::test_a_hole_is_never_taken_for_the_end",
    ),
    Mutant(
        "once: a contact that comes twice is not landed twice",
        "walk/pagination.py",
        "if not repeated:",
        "if True:",
        "api/test_pagination.py::test_where_every_change_is_tolerated_the_walk_still_ends_and_counts_what_came_twice",
    ),
    Mutant(
        "larger pages: one that is short of a size that no page had is no end",
        "walk/end.py",
        "(answer.limit or 0) <= self._largest_full",
        "self._largest_full > 0",
        "api/test_page_size.py::test_a_page_that_is_short_of_a_size_that_no_page_had_is_no_end",
    ),
    Mutant(
        "larger pages: what a manifest remembers is within bounds",
        "walk/page_size.py",
        "FIRST <= value <= STEPS[-1]",
        "True",
        "api/test_page_size.py::test_nothing_that_is_remembered_makes_pages_small_or_huge",
    ),
    Mutant(
        "larger pages: none is tried that may be too large",
        "walk/page_size.py",
        "size * self._characters > MOST_TEXT",
        "False",
        "api/test_page_size.py::test_rows_that_are_long_do_not_get_larger_pages",
    ),
    Mutant(
        "larger pages: a slower one is stepped back from",
        "walk/page_size.py",
        "rate < _SLOWER * self._rate",
        "False",
        "api/test_page_size.py::test_a_page_that_is_slower_twice_is_not_asked_for_again",
    ),
    Mutant(
        "even pacing: what may be sent is sent while an answer is waited for",
        "api/reader.py",
        "ahead.meanwhile = partial(self._read_ahead, call, pagination, ahead)",
        "pass",
        "api/test_page_size.py::test_an_answer_that_takes_long_does_not_set_the_pace",
    ),
    Mutant(
        "erroneous page: a page that says it is another is refused",
        "walk/pagination.py",
        "if answer.skip is not None and answer.skip != offset:",
        "if False:",
        "api/test_pagination.py::test_a_page_that_says_it_is_another_is_refused_although_nothing_else_tells",
    ),
    Mutant(
        "in order: each page is asked for where the one before it ended",
        "walk/pagination.py",
        "return PageRequest(self.progress.offset - self._end.is_overlapping, self.trial or self.limit)",
        "return PageRequest(self.progress.offset + 1, self.trial or self.limit)",
        "api/test_pagination.py::test_offsets_follow_what_arrived_and_not_what_was_asked",
    ),
    Mutant(
        "erroneous page: ids that a page holds twice are refused",
        "walk/pagination.py",
        'if different < count and self._tolerate != "everything":',
        "if False:",
        "api/test_pagination.py::test_a_page_with_the_same_id_twice_says_so",
    ),
    Mutant(
        "drift: a list that was edited meanwhile is noticed",
        "walk/proof.py",
        "elif after.mark != state.mark:",
        "elif False:",
        "snapshot/test_walk.py::test_the_error_says_what_moved",
    ),
    Mutant(
        "drift: a continued walk proves that the list is still the same",
        "walk/walk.py",
        "if now.mark != state.mark:",
        "if False:",
        "snapshot/test_staging.py::test_a_continued_walk_proves_that_the_list_is_still_the_same",
    ),
    Mutant(
        "incremental: the page at the old end holds what it held",
        "walk/walk.py",
        "if found != ids[position : position + len(found)] or (ids and not found):",
        "if not found:",
        "snapshot/test_incremental.py::test_whatever_else_happened_to_a_list_all_of_it_is_walked",
    ),
    Mutant(
        "incremental: a list that changed and did not grow is walked",
        "walk/walk.py",
        "if total == known.rows and now.mark != known.mark:",
        "if False:",
        "snapshot/test_incremental.py::test_whatever_else_happened_to_a_list_all_of_it_is_walked",
    ),
    Mutant(
        "incremental: updatedAt is explained by the newest contact",
        "walk/continuation.py",
        "if seconds_between(progress.last_created, after.mark) > EXPLAINED_WITHIN:",
        "if False:",
        "snapshot/test_incremental.py::test_whatever_else_happened_to_a_list_all_of_it_is_walked",
    ),
    Mutant(
        "incremental: what is new was created after the last snapshot",
        "walk/continuation.py",
        "continued.first_new <= continued.mark:",
        "False:",
        "snapshot/test_incremental.py::test_what_is_new_and_older_than_the_last_snapshot_is_doubted",
    ),
    Mutant(
        "incremental: probes hold what they held",
        "walk/walk.py",
        "for start, there in ids_there[1:]:",
        "for start, there in ():",
        "snapshot/test_incremental.py::test_a_contact_exchanged_in_its_place_before_an_append_is_caught_by_a_probe_that_falls_on_it",
    ),
    Mutant(
        "incremental: a manifest that was edited by hand is not believed",
        "snapshot/basis.py",
        "if not manifest.is_sealed(seal):",
        "if False:",
        "snapshot/test_incremental.py::test_a_manifest_that_was_edited_by_hand_is_not_built_on",
    ),
    Mutant(
        "incremental: all of the list is walked every so often",
        "snapshot/basis.py",
        "not recent,",
        "False,",
        "snapshot/test_incremental.py::test_an_edit_in_place_is_found_by_the_next_walk_over_all_of_the_list_and_ends_it",
    ),
    Mutant(
        "together: a look from before a list was read does not prove it",
        "api/sources/lists.py",
        "raise LookLater",
        "pass",
        "api/test_many_lists.py::test_a_list_that_changes_before_its_look_is_walked_again_and_never_lands_as_it_was",
    ),
    Mutant(
        "resume: a retry continues after the last checkpoint",
        "snapshot/walking.py",
        "resumed = resumable and",
        "resumed = not resumable and",
        "snapshot/test_staging.py::test_a_retry_on_any_worker_continues_behind_the_last_chunk",
    ),
    Mutant(
        "resume: a checkpoint that this task did not write is not believed",
        "snapshot/seal.py",
        "return hmac.compare_digest(self.of(about, body), seal)",
        "return True",
        "snapshot/test_staging.py::test_invented_contacts_in_staging_are_never_landed",
    ),
    Mutant(
        "atomic commit: of two writers one wins",
        "snapshot/files.py",
        "return self.upload(key, file, metadata, self.condition(there)), there",
        "return self.upload(key, file, metadata, None), there",
        "snapshot/test_every_crash_point.py::test_two_runs_that_race_end_with_one_snapshot_and_a_clear_winner",
    ),
    Mutant(
        "fencing: an earlier walk gives way to a later one",
        "snapshot/rivals.py",
        "if self.me.started < theirs.comparable_start <= self._latest:",
        "if False:",
        "snapshot/test_publish.py::test_an_earlier_walk_gives_way_to_a_later_one",
    ),
    Mutant(
        "fencing: an earlier try of a run gives way to a later one",
        "snapshot/rivals.py",
        "if appeared and theirs.try_number > self.me.try_number:",
        "if False:",
        "snapshot/test_every_crash_point.py"
        "::test_an_orphan_that_wakes_up_at_any_effect_after_its_retry_succeeded_changes_nothing",
    ),
    Mutant(
        "foreign: what another wrote is not deleted",
        "snapshot/files.py",
        "if not writer.snapshot or snapshot_of_part not in {None, writer.snapshot}:",
        "if not writer.snapshot:",
        "snapshot/test_other_forms.py::test_what_is_not_proven_to_be_ours_is_refused_by_name",
    ),
    Mutant(
        "foreign: replace=False replaces nobody's snapshot",
        "snapshot/target.py",
        "if others_object or others_manifest:",
        "if False:",
        "snapshot/test_publish.py::test_replace_false_finds_its_own_again_and_refuses_anothers",
    ),
    Mutant(
        "one table: a column keeps its place",
        "formats/columns.py",
        "dict.fromkeys([ID, *first, *self._kinds])",
        "dict.fromkeys([ID, *self._kinds, *first])",
        "formats/test_table.py::test_csv_is_read_right_by_position_over_days",
    ),
    Mutant(
        "one table: a column keeps its type",
        "formats/table.py",
        "return types | {",
        "return {",
        "snapshot/test_schema.py::test_a_column_without_a_value_for_a_day_keeps_its_type",
    ),
    Mutant(
        "one table: a value that does not fit its column lands nowhere",
        "formats/table.py",
        "if refused:",
        "if False:",
        "snapshot/test_schema.py::test_a_value_that_does_not_fit_ends_the_run_at_its_page_and_before_anything_is_published",
    ),
    Mutant(
        "chain: the snapshot before is one that will still stand",
        "snapshot/past.py",
        "if each.key != manifest_key",
        "if True",
        "snapshot/test_chain.py::test_what_a_manifest_replaces_is_told_newest_first_and_its_predecessor_is_of_another_date",
    ),
    Mutant(
        "chain: a manifest that is replaced is told from one that was tampered with",
        "snapshot/publish.py",
        'return [known.sha256, *known.manifest.content.get("replaces", [])][:MOST_REPLACED]',
        "return []",
        "snapshot/test_chain.py::test_what_a_manifest_replaces_is_told_newest_first_and_its_predecessor_is_of_another_date",
    ),
    Mutant(
        "guards: a list below min_contacts does not replace good data",
        "snapshot/guards.py",
        "if rows < spec.min_rows:",
        "if False:",
        "snapshot/test_guards.py::test_min_contacts_gives_both_numbers",
    ),
    Mutant(
        "secrets: tokens are known to Airflow's masker",
        "hooks/campaign.py",
        "if masked <= MASKED_TOKENS:",
        "if False:",
        "airflow/test_dags.py::test_secret_and_tokens_are_known_to_the_masker",
    ),
    Mutant(
        "secrets: an object that holds the client secret does not show it",
        "api/config.py",
        'label="Client secret, or PEM private key",\n        secret=True,',
        'label="Client secret, or PEM private key",',
        "api/test_privacy.py::test_objects_that_hold_secrets_do_not_show_them",
    ),
    Mutant(
        "limit: the places of a task that died may have been used at its last moment",
        "api/ledger.py",
        "holder.until + grace + self.windows[window].seconds",
        "holder.until",
        "api/test_sharing.py::test_the_places_of_a_task_that_died_come_back",
    ),
    Mutant(
        "limit: no window holds more requests than are allowed",
        "api/rolling_window.py",
        "if missing < 0:",
        "if True:",
        "api/test_allowance.py::test_no_window_ever_holds_too_many_and_no_request_waits_too_long",
    ),
    Mutant(
        "stop: a task that is told to stop publishes nothing",
        "stop.py",
        "if self.requested:",
        "if False:",
        "snapshot/test_stop.py::test_a_stop_at_any_effect_ends_in_an_error_and_publishes_nothing_after_it",
    ),
    Mutant(
        "definition: a day whose columns stand elsewhere is left out",
        "readers/table.py",
        "if number >= len(expected) or column != expected[number]:",
        "if False:",
        "readers/test_ddl.py::test_a_csv_of_another_order_is_left_out_with_all_before_it_and_named",
    ),
    Mutant(
        "definition: a day whose parquet has another type is left out",
        "readers/table.py",
        "if self.known.get(name, kind) != kind:",
        "if False:",
        "readers/test_ddl.py::test_a_parquet_column_of_another_type_is_left_out_and_one_that_is_gone_is_kept",
    ),
    Mutant(
        "proof: a file of other bytes is found",
        "audit/files.py",
        'if sha256 != file.get("sha256"):',
        "if False:",
        "audit/test_verify.py::test_a_flipped_byte_anywhere_is_found",
    ),
    Mutant(
        "proof: a manifest of other bytes is found",
        "audit/manifests.py",
        "if changed:",
        "if False:",
        "audit/test_verify.py::test_a_flipped_byte_anywhere_is_found",
    ),
    Mutant(
        "proof: a manifest whose digest was renamed is no older one",
        "snapshot/manifest.py",
        'next(iter(self.content)) == "schema_version"',
        "True",
        "snapshot/test_manifest.py::test_no_byte_of_it_can_flip_unseen",
    ),
    Mutant(
        "proof: a snapshot that was exchanged with its manifest shows in the next one's link",
        "audit/chain.py",
        "yield from _check_previous(link, link.previous, find, oldest)",
        "pass",
        "audit/test_verify.py::test_a_snapshot_that_was_rewritten_by_who_knows_how_shows_in_the_next_ones_link",
    ),
    Mutant(
        "proof: one that vanished from between others is missed",
        "audit/chain.py",
        "if oldest() < day:",
        "if False:",
        "audit/test_verify.py::test_a_snapshot_that_vanished_from_the_middle_is_missed_and_expired_ones_are_not",
    ),
    Mutant(
        "forgotten: a snapshot that lands meanwhile is not overwritten",
        "erasure/rewrite.py",
        "                condition=Condition(etag=stored.etag),\n                stop=work.stop,",
        "                stop=work.stop,",
        "erasure/test_beside_landing.py::test_a_landing_at_any_moment_of_an_erasure_leaves_one_true_snapshot",
    ),
    Mutant(
        "forgotten: a landing that has not written its manifest yet does not pass for done",
        "erasure/survey.py",
        "        return now - modified < self._work.spec.staging_expiry",
        "        return False",
        "erasure/test_erasure.py::test_one_that_does_not_end_fails_the_try_and_nothing_is_changed_until_it_is_taken_for_dead",
    ),
    Mutant(
        "forgotten: what a killed try has rewritten is explained, and its manifest is finished",
        "erasure/partition.py",
        'is_erased_from(found, entry.get("sha256"))',
        "False",
        "erasure/test_every_kill.py::test_an_erasure_that_is_killed_anywhere_is_finished_by_its_retry",
    ),
    Mutant(
        "forgotten: an id that only a number told is known to the retry",
        "erasure/notes.py",
        "Pseudonyms(given, salt, kept) for",
        "Pseudonyms(given, salt) for",
        "erasure/test_every_kill.py::test_an_erasure_that_is_killed_anywhere_is_finished_by_its_retry",
    ),
    Mutant(
        "forgotten: everything is searched again",
        "erasure/run.py",
        "            if found.is_clean:",
        "            if True:",
        "erasure/test_erasure.py::test_snapshots_that_keep_landing_someone_fail_the_try",
    ),
    Mutant(
        "forgotten: what others put there is searched, too",
        "erasure/run.py",
        '        if strangers := receipt["searched"]["strangers_with_traces"]:',
        "        if strangers := []:",
        "erasure/test_erasure.py::test_a_trace_in_what_others_put_there_fails_the_task_when_all_else_is_done",
    ),
    Mutant(
        "forgotten: no later run builds on a snapshot that was erased",
        "erasure/rewrite.py",
        'manifest.content.items() if name != "seal"}',
        "manifest.content.items()}",
        "erasure/test_every_kill.py::test_an_erasure_that_is_killed_anywhere_is_finished_by_its_retry",
    ),
    Mutant(
        "forgotten: what Object Lock holds is refused before anything is changed",
        "erasure/others.py",
        "        if found.locked:",
        "        if False:",
        "erasure/test_erasure.py::test_a_version_that_is_locked_is_named_before_anything_is_changed",
    ),
    Mutant(
        "forgotten: what is not proven ours is not deleted, whatever it is called",
        "erasure/others.py",
        "        if not (what.ours or (is_file and is_ours(stored))):",
        "        if False:",
        "erasure/test_not_ours.py::test_an_older_version_that_others_have_put_under_a_snapshots_name_stays_and_is_named",
    ),
    Mutant(
        "iceberg: what a commit of the table holds is not committed again",
        "iceberg/run.py",
        "if each.partition not in inside",
        "if True",
        "iceberg/test_commit.py::test_the_same_again_changes_nothing",
    ),
    Mutant(
        "iceberg: a snapshot of another manifest is another",
        "iceberg/marks.py",
        'f"{landed.snapshot_id} {landed.manifest_sha256}"',
        "landed.snapshot_id",
        "iceberg/test_commit.py::test_a_manifest_that_changed_is_another_snapshot_although_its_id_is_the_same",
    ),
    Mutant(
        "iceberg: a commit whose answer was lost is looked for",
        "iceberg/run.py",
        "if failure is None or self._is_in(proposal, failure):",
        "if failure is None:",
        "iceberg/test_crash.py::test_a_commit_whose_answer_was_lost_is_found_at_once",
    ),
    Mutant(
        "iceberg: files that a late commit may refer to are left",
        "iceberg/files.py",
        "for path in () if self.in_doubt else self.paths:",
        "for path in self.paths:",
        "iceberg/test_crash.py::test_a_commit_that_arrives_late_is_not_made_twice",
    ),
    Mutant(
        "iceberg: rows are those that the manifest counts",
        "iceberg/files.py",
        'if len(seen) - before != file["rows"]:',
        "if False:",
        "iceberg/test_bad_snapshots.py::test_rows_and_ids_are_those_of_the_manifest",
    ),
    Mutant(
        "iceberg: a table that does not allow it is not written to",
        "iceberg/table.py",
        "if table.properties.get(OURS) != PROPERTIES[OURS]:",
        "if False:",
        "iceberg/test_table.py::test_a_table_that_is_not_for_snapshots_is_refused_by_name_and_not_touched",
    ),
)


def copy(folder: Path) -> None:
    """Make a checkout whose package may be spoilt: what is only read is linked."""
    for entry in ROOT.iterdir():
        if entry.name in {PACKAGE, "tests"}:
            shutil.copytree(entry, folder / entry.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif entry.name not in {".git", ".hypothesis"}:
            (folder / entry.name).symlink_to(entry)


def fails(folder: Path, tests: list[str], seconds: float = SECONDS) -> tuple[bool, str]:
    """Run tests in a copy; say whether any failed, and what pytest printed."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--timeout", "240"]
    try:
        done = subprocess.run(
            [*command, *(f"tests/{test}" for test in tests)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True, "out of time"
    if done.returncode not in {0, 1}:
        raise SystemExit(f"pytest could not run {tests}:\n{done.stdout}{done.stderr}")
    return done.returncode == 1, done.stdout


def survives(mutant: Mutant) -> bool:
    """Say whether the test still passes without the guard."""
    with tempfile.TemporaryDirectory(prefix="kore-mutant-") as name:
        folder = Path(name)
        copy(folder)
        file = folder / PACKAGE / mutant.file
        text = file.read_text()
        if text.count(mutant.guard) != 1:
            raise SystemExit(f"{mutant.file} holds {text.count(mutant.guard)} times, and not once: {mutant.guard}")
        file.write_text(text.replace(mutant.guard, mutant.instead))
        failed, _ = fails(folder, [mutant.test])
    print(f"{'killed  ' if failed else 'SURVIVED'}  {mutant.promise}", flush=True)
    return not failed


def main(words: list[str]) -> int:
    """Try the mutants; return 1 if one survives, or a test fails without any."""
    chosen = [mutant for mutant in MUTANTS if all(word in mutant.promise for word in words)]
    with tempfile.TemporaryDirectory(prefix="kore-mutant-") as name:
        copy(Path(name))
        failed, output = fails(Path(name), sorted({mutant.test for mutant in chosen}), ALL_SECONDS)
    if failed:
        print(f"The tests fail with all guards in place:\n{output}")
        return 1
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        survivors = sum(pool.map(survives, chosen))
    print(f"{len(chosen)} mutants, {survivors} survived")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
