"""Specifications: what was built can be built again from plain data, and nothing else is called."""

import json

import pytest
import torch
from torch import nn

from lightning_modules.configurable import Configurable, build


class Part(Configurable):
    def __init__(self, size: int = 3, scale: float = 0.5) -> None:
        self.size, self.scale = size, scale


class Whole(nn.Module, Configurable):
    def __init__(self, part, others=(), table=None, label="x", flag=False) -> None:
        super().__init__()
        self.part, self.others = build(part, Part), [build(one, Part) for one in others]
        self.table, self.label, self.flag = table, label, flag


class Plain(Part):
    """Inherits its constructor."""


class Special(Part):
    def __init__(self, size: int = 9) -> None:
        super().__init__(size + 1, scale=2.0)


class Open(Part):
    def __init__(self, *sizes: int, size: int = 1, **others: float) -> None:
        super().__init__(sum(sizes) + size, **others)


class Bare(nn.Module, Configurable):
    """Has no arguments."""


class Unrelated:
    called = False

    def __init__(self) -> None:
        type(self).called = True


def path(cls):
    return f"{__name__}.{cls.__qualname__}"


@pytest.mark.parametrize("arguments", [((), {}), ((7,), {}), ((), {"scale": 2.0}), ((7, 2.0), {})])
def test_a_spec_holds_all_arguments_by_name(arguments):
    one = Part(*arguments[0], **arguments[1])
    assert one.spec == {"class_path": path(Part), "init_args": {"size": one.size, "scale": one.scale}}
    again = build(one.spec, Part)
    assert (type(again), again.size, again.scale, again.spec) == (Part, one.size, one.scale, one.spec)


def test_nested_objects_are_stored_as_their_specs():
    whole = Whole(Part(1), (Special(2), Plain(3)), table={"a": [1, 2.0, None], "b": Part(4)}, flag=True)
    plain = json.loads(json.dumps(whole.spec))
    assert plain == whole.spec
    assert plain["init_args"]["part"] == Part(1).spec
    assert plain["init_args"]["table"] == {"a": [1, 2.0, None], "b": Part(4).spec}
    again = build(plain, Whole)
    assert again.spec == whole.spec
    assert [type(one) for one in (again.part, *again.others)] == [Part, Special, Plain]
    assert [one.size for one in (again.part, *again.others)] == [1, 3, 3]


def test_a_spec_survives_a_checkpoint_that_is_read_with_weights_only(tmp_path):
    torch.save(Whole(Part(1), [Special(2)]).spec, tmp_path / "spec.pt")
    spec = torch.load(tmp_path / "spec.pt", weights_only=True)
    assert build(spec, Whole).spec == spec


def test_the_outermost_constructor_is_recorded():
    assert Special(4).spec == {"class_path": path(Special), "init_args": {"size": 4}}
    assert Special(4).size == 5


@pytest.mark.parametrize("make", [lambda: Plain(4, scale=1.0), Bare, lambda: Open(size=3, scale=1.5)])
def test_classes_of_any_constructor_are_rebuilt(make):
    one = make()
    again = build(one.spec, type(one))
    assert type(again) is type(one)
    assert again.spec == one.spec
    assert getattr(again, "size", None) == getattr(one, "size", None)


def test_inherited_constructors_name_the_class_that_was_called():
    assert Plain(4).spec == {"class_path": path(Plain), "init_args": {"size": 4, "scale": 0.5}}
    assert Bare().spec == {"class_path": path(Bare), "init_args": {}}
    assert Open(5, size=3, scale=1.5).spec["init_args"] == {"size": 3, "scale": 1.5}


def test_values_without_a_plain_form_are_stored_as_text(tmp_path):
    assert Whole(Part(), label=tmp_path).spec["init_args"]["label"] == str(tmp_path)


def test_the_spec_shows_what_was_given_and_not_what_became_of_it():
    table = {"a": [1]}
    whole = Whole(Part(), table=table)
    table["a"].append(2)
    assert whole.spec["init_args"]["table"] == {"a": [1]}


def test_wrong_arguments_are_still_python_errors():
    with pytest.raises(TypeError, match="sise"):
        Part(sise=3)


def test_an_object_is_returned_as_it_is():
    one = Special()
    assert build(one, Part) is one


@pytest.mark.parametrize("spec", [{"class_path": path(Unrelated)}, {"class_path": "os.system", "init_args": {}}])
def test_what_is_no_subclass_is_refused_before_it_is_called(spec):
    with pytest.raises(ValueError, match=r"class_path '.*' is not a Part"):
        build(spec, Part)
    assert not Unrelated.called


@pytest.mark.parametrize("name", ["no.such.module.Part", f"{__name__}.Missing", "Part", "", "..Part", 3])
def test_a_wrong_class_path_is_named(name):
    with pytest.raises(ValueError, match="cannot be imported"):
        build({"class_path": name}, Part)


@pytest.mark.parametrize("spec", [None, 3, "Part", {"init_args": {}}, Whole(Part())])
def test_what_is_no_spec_is_refused(spec):
    with pytest.raises(ValueError, match="expected a Part or its spec with a class_path, got"):
        build(spec, Part)


def test_init_args_may_be_left_out():
    assert build({"class_path": path(Part)}, Part).size == 3
