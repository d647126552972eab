"""Which column of a CSV is what, and which rows are one training."""

import pytest

from analysis.imports.csv_file import read_csv
from fairsweep.errors import MissingFileError, UserError
from tune.run.trial import Status


def read(tmp_path, text, **asked):
    path = tmp_path / "results.csv"
    path.write_text(text)
    return read_csv(path, **asked)


def trials(found):
    return [(t.label, dict(t.values), dict(t.measurements)) for t in found.trials]


def test_a_row_is_a_training_unless_there_are_epochs(tmp_path):
    found = read(tmp_path, "width,seed,val_loss\n8,1,0.5\n8,2,0.4\n")
    assert trials(found) == [
        ("row 2", {"width": 8, "seed": 1}, {1: {"val_loss": 0.5}}),
        ("row 3", {"width": 8, "seed": 2}, {1: {"val_loss": 0.4}}),
    ]
    assert found.names_stops
    assert found.tool == "CSV"


def test_rows_of_a_run_are_its_epochs_in_any_order_of_rows(tmp_path):
    text = "Run,Epoch,width,acc\nb,1,8,0.1\na,1,4,0.2\nb,3,8,0.3\nb,2,8,\n"
    found = read(tmp_path, text)
    assert trials(found) == [
        ("b", {"width": 8}, {1: {"acc": 0.1}, 3: {"acc": 0.3}}),
        ("a", {"width": 4}, {1: {"acc": 0.2}}),
    ]
    assert not found.names_stops
    without = read(tmp_path, "step,width,acc\n1,8,0.1\n1,4,0.2\n2,8,0.3\n")
    assert [label for label, *_ in trials(without)] == ["row 2", "row 3"]
    named = read(tmp_path, "round,width,acc\n1,8,0.1\n2,8,0.3\n", epoch="round")
    assert trials(named)[0][2] == {1: {"acc": 0.1}, 2: {"acc": 0.3}}


def test_rows_of_an_epoch_are_joined_and_a_missing_hyperparameter_is_a_value_of_its_own(tmp_path):
    found = read(tmp_path, "epoch,width,acc,loss\n1,8,0.1,\n1,8,,0.5\n1,,0.2,0.4\n")
    assert trials(found) == [
        ("row 2", {"width": 8}, {1: {"acc": 0.1, "loss": 0.5}}),
        ("row 4", {"width": None}, {1: {"acc": 0.2, "loss": 0.4}}),
    ]


def test_the_role_of_a_column_follows_from_its_prefix_its_name_and_its_values(tmp_path):
    text = (
        "params.loss,metrics.size,metrics.word,tags.a,notes,_x,my_loss,error,kind\n"
        "ce,3,w,t,n,1,0.5,none,k\n"
    )
    found = read(tmp_path, text)
    ((_, values, measurements),) = trials(found)
    assert values == {"loss": "ce", "error": "none", "kind": "k"}
    assert measurements == {1: {"size": 3, "my_loss": 0.5}}
    assert found.notes == ("Columns that were not read: metrics.word, tags.a, notes, _x.",)


def test_columns_of_the_tools_themselves_are_not_read(tmp_path):
    names = (
        "notes,user,tags,created,runtime,sweep,host,group,job_type,artifact_uri,experiment_id,"
        "start_time,end_time,updated,_runtime,_timestamp,_wandb,run_name,commit,hostname,"
        "description"
    )
    found = read(tmp_path, f"{names},Job Type,loss\n{'1,' * 22}0.5\n")
    assert trials(found) == [("row 2", {}, {1: {"loss": 0.5}})]
    told = ", ".join([*names.split(","), "Job Type"])
    assert found.notes == (f"Columns that were not read: {told}.",)


def test_a_prefix_tells_hyperparameters_from_metrics(tmp_path):
    text = (
        "config.a,params/b,Param.c,metrics.d,metric/e,summary.f,summary_metrics.g\n1,2,3,4,5,6,7\n"
    )
    ((_, values, measurements),) = trials(read(tmp_path, text))
    assert values == {"a": 1, "b": 2, "c": 3}
    assert measurements == {1: {"d": 4, "e": 5, "f": 6, "g": 7}}


@pytest.mark.parametrize("run", ["run_id", "trial_id", "Run", "trial", "ID", "name"])
@pytest.mark.parametrize("epoch", ["Epoch", "step", "_step", "training_iteration", "iteration"])
def test_usual_names_of_run_and_epoch_are_known(tmp_path, run, epoch):
    found = read(tmp_path, f"{run},{epoch},loss,width\nx,3,0.5,8\nx,4,0.4,8\n")
    assert trials(found) == [("x", {"width": 8}, {3: {"loss": 0.5}, 4: {"loss": 0.4}})]


def test_columns_that_are_asked_for_are_what_is_asked(tmp_path):
    text = "id,a,b,random_state,score_a,config.lr\nx,1,2,7,0.5,0.1\n"
    found = read(tmp_path, text, metric="b", configuration=["a", "lr"])
    ((label, values, measurements),) = trials(found)
    assert label == "x"
    assert values == {"a": 1, "random_state": 7, "lr": 0.1}
    assert measurements == {1: {"b": 2, "score_a": 0.5}}
    assert found.metric == "b"
    seeded = read(tmp_path, text, seed="a", configuration=["b"])
    assert trials(seeded)[0][1]["a"] == 1
    with pytest.raises(UserError, match="each of --metric, --epoch, --seed, --configuration must"):
        read(tmp_path, text, metric="c")


@pytest.mark.parametrize(
    ("word", "status", "reason"),
    [
        ("finished", Status.COMPLETED, ""),
        ("Early Stopped", Status.EARLY_STOPPED, "Early Stopped"),
        ("crashed", Status.FAILED, "crashed"),
        ("preempted", Status.RUNNING, "preempted"),
        ("Diverged", Status.DIVERGED, "Diverged"),
        ("infeasible", Status.INFEASIBLE, "infeasible"),
        ("scheduled", Status.PENDING, "scheduled"),
        ("odd", Status.FAILED, "its state is odd"),
        ("", Status.COMPLETED, ""),
    ],
)
def test_a_state_is_a_status_with_its_word_as_reason(tmp_path, word, status, reason):
    (trial,) = read(tmp_path, f"state,width,loss\n{word},8,0.5\n").trials
    assert (trial.status, trial.reason) == (status, reason)


def test_the_last_row_of_a_training_tells_its_state(tmp_path):
    text = "run,epoch,state,width,acc\na,1,running,8,0.1\na,2,finished,8,0.3\n"
    (trial,) = read(tmp_path, text).trials
    assert (trial.status, trial.reason) == (Status.COMPLETED, "")


def test_yes_and_no_are_no_metric_and_a_damaged_json_is_told(tmp_path):
    ((_, values, measurements),) = trials(read(tmp_path, "width,error,loss\n8,true,0.5\n"))
    assert (values, measurements) == ({"width": 8, "error": True}, {1: {"loss": 0.5}})
    with pytest.raises(UserError, match="column config is not JSON: "):
        read(tmp_path, "config,loss\n{half,0.5\n")


def test_the_tool_is_told_by_its_columns(tmp_path):
    assert read(tmp_path, "run_id,params.a,loss\nx,1,0.5\n").tool == "MLflow (CSV)"
    assert read(tmp_path, "run_id,metrics.a,b\nx,1,0.5\n").tool == "MLflow (CSV)"
    assert read(tmp_path, "Name,State,a,loss\nx,finished,1,0.5\n").tool == "W&B (CSV)"
    for columns in ("run_id,a", "params.a,b", "Name,a", "State,a"):
        assert read(tmp_path, f"{columns},loss\nx,1,0.5\n").tool == "CSV"
    with pytest.raises(MissingFileError, match="there is no file"):
        read_csv(tmp_path / "gone.csv")
    with pytest.raises(UserError, match="is not a CSV"):
        read(tmp_path, "")


def test_a_column_is_named_by_its_whole_name_before_the_part_after_a_prefix(tmp_path):
    found = read(tmp_path, "size,metrics.size\n8,2\n", configuration=["size"])
    assert trials(found) == [("row 2", {"size": 8}, {1: {"size": 2.0}})]


def test_a_column_that_is_named_as_hyperparameter_is_one_whatever_its_usual_meaning(tmp_path):
    found = read(tmp_path, "name,state,loss\na,finished,0.5\n", configuration=["name"])
    assert trials(found) == [("a", {"name": "a"}, {1: {"loss": 0.5}})]


def test_a_second_name_of_the_run_and_a_metric_without_a_number_are_not_read(tmp_path):
    found = read(tmp_path, "run_id,name,width,metrics.acc,loss\nx,sunny,8,,0.5\n")
    assert trials(found) == [("x", {"width": 8}, {1: {"loss": 0.5}})]
    assert found.notes == ("Columns that were not read: name, metrics.acc.",)


def test_a_row_without_its_epoch_is_the_epoch_of_its_place(tmp_path):
    found = read(tmp_path, "run,epoch,acc\na,1,0.1\na,,0.2\n")
    assert trials(found) == [("a", {}, {1: {"acc": 0.1}, 2: {"acc": 0.2}})]


def test_lists_are_values_and_blanks_around_a_state_do_not_count(tmp_path):
    text = 'config,State,loss\n"{""layers"": [8, 16]}", Finished ,0.5\n'
    (trial,) = read(tmp_path, text).trials
    assert trial.values == {"layers": [8, 16]}
    assert trial.status is Status.COMPLETED


def test_of_two_columns_that_count_epochs_the_other_one_is_not_read(tmp_path):
    text = "epoch,step,width,val_loss\n1,10,8,0.5\n2,20,8,0.4\n"
    curve = {1: {"val_loss": 0.5}, 2: {"val_loss": 0.4}}
    found = read(tmp_path, text)
    assert trials(found) == [("row 2", {"width": 8}, curve)]
    assert found.notes == ("Columns that were not read: step.",)
    by_step = read(tmp_path, text, epoch="step")
    assert list(by_step.trials[0].measurements) == [10, 20]
    assert by_step.notes == ("Columns that were not read: epoch.",)


def test_whole_numbers_stay_whole_beside_fractions(tmp_path):
    (trial,) = read(tmp_path, "width,rate,seed,loss\n20000,0.5,1,0.5\n").trials
    assert [type(value) for value in trial.values.values()] == [int, float, int]
