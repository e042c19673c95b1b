"""Blocks: armed once, chained, repeated, and built from configurations with all that these name."""

import copy
import operator
import pickle
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

from curator_core.errors import ConfigError
from curator_core.workflow import Block, ChainedBlock, DataGenerator, ExperimentData, LoopBlock, Step, Workflow

pytest.importorskip("pandas")


class Draw(Block):
    """Appends a number that follows from when it was armed, and how often it was called since."""

    def __init__(self, name="draw", log=None):
        self.name = name
        self.log = [] if log is None else log

    def arm(self, data):
        self.log.append((self.name, "armed", len(data)))
        self.n = 0

    def call(self, data, step=1, **kwargs):
        self.n += step
        self.log.append((self.name, "called", len(data)))
        return data + ExperimentData(input_data=[{"x": float(self.n)}])


def table(*xs):
    return ExperimentData(input_data=[{"x": float(x)} for x in xs or (0,)])


def xs(data):
    return data.to_pandas()[0]["x"].tolist()


def test_a_loop_of_a_chain_arms_each_block_once_with_the_first_table():
    """By `arm` and `call`, as a function, and as a step: never again in an iteration."""
    log = []
    block = (Draw("a", log) >> Draw("b", log)).loop(2)
    block.arm(table())
    assert xs(block.call(table())) == [0, 1, 1, 2, 2]
    assert log[:2] == [("a", "armed", 1), ("b", "armed", 1)]
    assert [entry[:2] for entry in log[2:]] == [("a", "called"), ("b", "called")] * 2
    log.clear()
    assert xs(block(table())) == [0, 1, 1, 2, 2]
    assert [what for _, what, _ in log].count("armed") == 2


def test_a_call_alone_arms_nothing():
    """Of a chain and of a loop: that is `arm`, or a step."""
    block = Draw()
    block.n = 0
    LoopBlock(ChainedBlock([block]), 2).call(table())
    assert [what for _, what, _ in block.log] == ["called", "called"]


def test_a_step_arms_before_it_calls(tmp_path):
    """Once, whatever it is made of; again in every iteration of a loop of steps, which are steps of their own."""
    block = Draw()
    table().store(tmp_path / "job")
    Workflow("w", [Step(block.loop(3), name="draw")]).run(rootdir=tmp_path, project_job="job")
    assert xs(ExperimentData.from_file(tmp_path / "job")) == [0, 1, 2, 3]
    assert [what for _, what, _ in block.log].count("armed") == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda a, b: ChainedBlock([a, b]),
        lambda a, b: ChainedBlock(blocks=(a, b)),
        ChainedBlock,
        lambda a, b: ChainedBlock(block for block in [a, b]),
        lambda a, b: a >> b,
    ],
)
def test_a_chain_in_all_its_forms(make):
    """A list, by its name, one by one; chains in it are flattened."""
    a, b = Draw("a"), Draw("b")
    assert make(a, b).blocks == [a, b]
    assert ChainedBlock(make(a, b), a).blocks == [a, b, a]


@pytest.mark.parametrize("n", [0, 1, 3, np.int64(2)])
def test_a_loop_in_all_its_forms(n):
    """By position and by name; 0 leaves the table as it is; the number is an integer of Python."""
    for block in (Draw().loop(n), Draw().loop(n_iterations=n), LoopBlock(block=Draw(), n_iterations=n)):
        assert type(block.n_iterations) is int
        assert len(block(table())) == 1 + n


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Draw().loop(-1), "0 or more, not -1"),
        (lambda: Draw().loop(2.0), r"0 or more, not 2\.0"),
        (lambda: Draw().loop(True), "not True"),
        (lambda: Draw().loop(None), "not None"),
        (lambda: LoopBlock(Draw, 2), "the class Draw: make it first"),
        (lambda: LoopBlock(3, 2), "made of blocks, not of 3"),
        (lambda: ChainedBlock([Draw(), print]), "made of blocks, not of <built-in"),
        (lambda: ChainedBlock(Draw), "list of blocks"),
        (lambda: ChainedBlock("ab"), "list of blocks"),
        (lambda: operator.rshift(Draw(), 3), "made of blocks, not of 3"),
    ],
)
def test_what_no_chain_or_loop_is_made_of(make, message):
    """Told when it is made."""
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_block_has_a_call():
    """A class without one cannot be made, by Python or from a configuration."""

    class Idle(Block):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Idle()  # type: ignore[abstract]
    with pytest.raises(ConfigError, match=r"Idle has no call\(\)"):
        Idle.from_yaml({})


class Keep(Block):
    """Keeps what it was made of and called with."""

    def __init__(self, *things, **named):
        self.things, self.named = things, named

    def call(self, data, n=0, m=0):
        self.got = (n, m)
        return data


class Scale(DataGenerator):
    """y = factor x."""

    def execute(self, experiment_sample, factor=1.0):
        experiment_sample.store("y", experiment_sample.get("x") * factor)
        return experiment_sample


class Solver:
    """No block."""

    def __init__(self, tolerance, inner=None):
        self.tolerance, self.inner = tolerance, inner

    @classmethod
    def tight(cls):
        return cls(1e-9)


MADE = Keep("of the module")


def make_keep(n):
    return Keep(n)


def the_same_again():
    return MADE


def no_block():
    return 3


def dies(kind):
    raise {"key": KeyError, "runtime": RuntimeError, "attribute": AttributeError}[kind]("token-of-mine")


def target(name, **settings):
    return {"_target_": f"{__name__}.{name}", **settings}


def test_arguments_of_a_configuration_reach_every_call():
    """By `call`, as a function, in a chain, in a loop; what is given wins; no other block has them; through pickle."""
    block: Any = Block.from_yaml(target("Keep"), {"n": 7, "m": 8})
    for use, got in (
        (lambda: block.call(table()), (7, 8)),
        (lambda: block(table()), (7, 8)),
        (lambda: block.call(data=table(), n=9), (9, 8)),
        (lambda: block(table(), m=1), (7, 1)),
        (lambda: (block >> block).loop(2)(table()), (7, 8)),
        (lambda: block.call(table(), m=np.int64(3)), (7, 3)),
    ):
        use()
        assert block.got == got
    other = Keep()
    other.call(table())
    assert other.got == (0, 0)
    for sent in (pickle.loads(pickle.dumps(block)), cloudpickle.loads(cloudpickle.dumps(block)), copy.deepcopy(block)):
        sent.call(table())
        assert sent.got == (7, 8)
    assert block.call_kwargs == {"n": 7, "m": 8}


def test_a_block_that_a_function_gives_every_time_keeps_its_own_arguments():
    """Those of a configuration belong to what is made from it."""
    first: Any
    second: Any
    first, second = (Block.from_yaml(target("the_same_again"), {"n": n}) for n in (1, 2))
    for block in (first, second, MADE):
        block.call(table())
    assert (first.got, second.got, MADE.got) == ((1, 0), (2, 0), (0, 0))


def test_a_generator_of_a_configuration():
    """Its `execute` gets the arguments."""
    done = Block.from_yaml(target("Scale"), {"factor": 3.0}).call(table(1, 2))
    assert done.to_pandas()[1]["y"].tolist() == [3.0, 6.0]


def test_what_a_configuration_names_within_itself_is_built():
    """In lists, mappings and arguments without names, of other classes, too; partially, and not at all if so wished."""
    solver = target("Solver", tolerance=0.5, inner=target("Solver.tight"))
    made: Any = Block.from_yaml(
        target(
            "Keep",
            _args_=[target("Scale"), 2],
            deep={"list": [solver, {"a": target("make_keep", n=4)}]},
            later=target("Solver", _partial_=True, tolerance=1),
            where={"_target_": "pathlib.Path", "_args_": ["/data"]},
            plain={"x": [1, {"y": None}]},
        )
    )
    assert isinstance(made.things[0], Scale)
    assert made.things[1] == 2
    first, second = made.named["deep"]["list"]
    assert (first.tolerance, first.inner.tolerance) == (0.5, 1e-9)
    assert second["a"].things == (4,)
    assert made.named["later"](inner=3).tolerance == 1
    assert made.named["where"] == Path("/data")
    assert made.named["plain"] == {"x": [1, {"y": None}]}
    as_it_is: Any = Block.from_yaml(target("Keep", _recursive_=False, of=target("Scale")))
    assert as_it_is.named["of"] == target("Scale")


def test_a_function_may_give_the_block():
    """And a call is configured with objects, too."""
    made: Any = Block.from_yaml(target("make_keep", n=5))
    assert made.things == (5,)
    block: Any = Block.from_yaml(target("Keep"), {"n": target("Solver", tolerance=2)})
    block.call(table())
    assert block.got[0].tolerance == 2


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (target("Solver", tolerance=1), r"Solver' is no Block"),
        (target("no_block"), r"no_block' gave no Block, but int"),
        (target("Keep", inner=target("Slover")), r"inner: _target_: cannot load .* Is 'Solver' meant"),
        (target("Keep", inner=target("Solver")), r"inner: Solver cannot be made of no arguments: TypeError.*takes tol"),
        (target("Keep", a=[0, target("MADE.things")]), r"a\[1\]: .*is no class or function"),
        (target("Keep", _args_="ab"), "_args_ must be a list, not 'ab'"),
        (target("Keep", _arg_=[1]), "Unknown key '_arg_'. Known: _args_"),
        (target("dies", kind="key"), "dies cannot be made of kind: KeyError"),
        (target("dies", kind="runtime"), "dies cannot be made of kind: RuntimeError"),
        (target("dies", kind="attribute"), "dies cannot be made of kind: AttributeError"),
        ({"_target_": 3}, "3 is no class or function"),
    ],
)
def test_what_cannot_be_built_is_named(config, message):
    """With its place."""
    with pytest.raises(ConfigError, match=message):
        Block.from_yaml(config)


def test_a_configuration_without_end_is_told():
    """One that contains itself, or is nested without need."""
    config = target("Keep")
    config["x"] = [config]
    deep = {}
    for _ in range(5000):
        deep = {"x": deep}
    for wrong in (config, target("Keep", x=deep)):
        with pytest.raises(ConfigError, match="nested too deep, or contains itself"):
            Block.from_yaml(wrong)


def test_values_of_a_configuration_are_not_told():
    """They may be secrets; their names are told."""
    with pytest.raises(ConfigError) as caught:
        Block.from_yaml(target("Solver.tight", password="hunter2"))
    assert "hunter2" not in str(caught.value)
    assert "password" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "os.system",
            "subprocess.Popen",
            "builtins.exec",
            "pathlib.Path.unlink",
            "shutil.rmtree",
            "importlib.import_module",
        ),
        *(
            "functools.partial",
            f"{__name__}.pickle.loads",
            "numpy.load",
            "curator_core.storage.atomic.remove",
            "pandas.read_pickle",
        ),
    ],
)
def test_a_configuration_calls_nothing_of_python_and_no_function_of_a_package(tmp_path, name):
    """Within a block or in its place: it is refused before it is called."""
    path = tmp_path / "kept"
    path.touch()
    for config in (
        {"_target_": name, "_args_": [str(path)]},
        target("Keep", x=[{"_target_": name, "_args_": [str(path)]}]),
    ):
        with pytest.raises(ConfigError, match="a configuration can"):
            Block.from_yaml(config)
    assert path.exists()


def test_a_function_of_an_installed_package_that_says_it_gives_a_block(tmp_path, monkeypatch):
    """It is meant for that."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "labpackage.py").write_text(
        f"from {__name__} import Keep\n\ndef make() -> Keep:\n    return Keep(1)\n\ndef other():\n    return Keep(2)\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr("site.getusersitepackages", lambda: str(folder))
    made: Any = Block.from_yaml({"_target_": "labpackage.make"})
    assert made.things == (1,)
    with pytest.raises(ConfigError, match=r"annotated to give a Block; 'labpackage\.other' is neither"):
        Block.from_yaml({"_target_": "labpackage.other"})
