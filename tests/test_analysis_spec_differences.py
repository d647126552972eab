"""What differed between runs: settings of the spec, versions, hardware."""

from types import SimpleNamespace

from analysis.runs.spec_differences import differences_table


def differences(*runs):
    """Return setting → its texts, of runs with these specs and provenances."""
    names = [f"run {number}" for number in range(len(runs))]
    made = [SimpleNamespace(spec=spec, provenance=provenance) for spec, provenance in runs]
    table = differences_table(made, names)
    assert [column.heading for column in table.views[0].columns] == ["setting", *names]
    return {row["setting"]: [row[name] for name in names] for row in table.frame.to_dict("records")}


def test_settings_that_differ_or_that_one_run_lacks_are_rows_in_the_order_of_the_first():
    first = "fixed: {epochs: 9, optimizer: sgd}\nseed: 1\nspace: {blocks: [1, 2]}"
    second = "fixed: {epochs: 9, optimizer: adam}\nspace: {blocks: [1, 2], channels: [8]}\nseed: 1"
    found = differences((first, {}), (second, {}))
    assert found == {"fixed.optimizer": ["sgd", "adam"], "space.channels": ["–", "[8]"]}
    assert list(found) == ["fixed.optimizer", "space.channels"]
    third = differences((first, {}), (first, {}), (second, {}))
    assert third["fixed.optimizer"] == ["sgd", "sgd", "adam"]
    assert differences((first, {}), (first, {})) == {}
    assert differences(("", {}), ("space: {}", {})) == {"space": ["–", "{}"]}


def test_names_data_and_signatures_are_left_out_at_any_depth():
    first = "name: a\ndata: x\nnetworks: {'m:N': {hash: 'aa', signature: 1, channels_last: true}}"
    second = "name: b\ndata: y\nnetworks: {'m:N': {hash: 'bb', signature: 2, channels_last: false}}"
    assert differences((first, {}), (second, {})) == {"networks.m:N.hash": ["aa", "bb"]}


def test_of_the_provenance_only_code_versions_machine_and_command_are_told():
    first = {"versions": {"torch": "2.9"}, "hardware": {"cpus": 4}, "dataset": {"path": "x"}}
    second = {"versions": {"torch": "2.8"}, "hardware": {"cpus": 4}, "dataset": {"path": "y"}}
    assert differences(("", first), ("", second)) == {"versions.torch": ["2.9", "2.8"]}
    first |= {"git": {"commit": "a"}, "command": "one"}
    second |= {"git": {"commit": "b"}, "command": "other", "hardware": {"cpus": 8}}
    assert differences(("", first), ("", second)) == {
        "git.commit": ["a", "b"],
        "versions.torch": ["2.9", "2.8"],
        "hardware.cpus": ["4", "8"],
        "command": ["one", "other"],
    }
