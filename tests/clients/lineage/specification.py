"""The specification's rules for events: its JSON Schemas, and the classes that `openlineage-python` generates from them.

The schemas let an object have what they do not name, and not all of them are at hand, so the classes are asked too. An event
is built from those classes, part by part: what the schema requires and an event lacks, or names otherwise, is an error there;
so is a facet whose `_schemaURL` is not that of the class.
"""

import importlib
import inspect
import pkgutil
import typing

import attr
from openlineage.client import generated
from openlineage.client.generated import base
from schemas import validate_run_event

# what a facet of an event is called, and its class
FACETS = {
    "version": "DatasetVersionDatasetFacet",
    "schema": "SchemaDatasetFacet",
    "symlinks": "SymlinksDatasetFacet",
    "columnLineage": "ColumnLineageDatasetFacet",
    "outputStatistics": "OutputStatisticsOutputDatasetFacet",
    "parent": "ParentRunFacet",
    "nominalTime": "NominalTimeRunFacet",
    "processing_engine": "ProcessingEngineRunFacet",
    "errorMessage": "ErrorMessageRunFacet",
    "jobType": "JobTypeJobFacet",
}
QUALITY = {"facets": "DataQualityMetricsDatasetFacet", "inputFacets": "DataQualityMetricsInputDatasetFacet"}


def classes():
    found = {}
    for module in pkgutil.iter_modules(generated.__path__):
        loaded = importlib.import_module(f"{generated.__name__}.{module.name}")
        found.update({name: it for name, it in inspect.getmembers(loaded, attr.has) if it.__module__ == loaded.__name__})
    return found


CLASSES = classes()


def check(value, kind, place):
    """Holds a value against a type of a generated class."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, getattr(__import__("types"), "UnionType")):
        if value is None and type(None) in parts:
            return
        kinds = [part for part in parts if part is not type(None)]
        assert len(kinds) == 1, (place, kinds)
        return check(value, kinds[0], place)
    if origin is list:
        assert isinstance(value, list), place
        for index, item in enumerate(value):
            check(item, parts[0], f"{place}[{index}]")
    elif origin is dict:
        assert isinstance(value, dict), place
        for name, item in value.items():
            check(item, parts[1], f"{place}.{name}")
    elif kind is float:
        assert isinstance(value, (int, float)) and not isinstance(value, bool), (place, value)
    elif kind in (str, int, bool):
        assert type(value) is kind, (place, value)
    elif attr.has(kind):
        check_class(value, kind, place)
    else:
        assert kind is typing.Any, (place, kind)


def check_class(value, kind, place, besides=()):
    """Holds an object against a generated class: no field is missing, and none is there that the class does not know."""
    assert isinstance(value, dict), place
    kinds = typing.get_type_hints(kind)
    fields = {field.name: field for field in attr.fields(kind)}
    for name, field in fields.items():
        if name in besides or name.startswith("_") or name in ("producer", "schemaURL"):
            continue
        if name not in value:
            assert field.default is not attr.NOTHING, f"{place} has no {name}"
            continue
        check(value[name], kinds[name], f"{place}.{name}")
        if field.validator and value[name] is not None:
            field.validator(None, field, value[name])
    unknown = set(value) - set(fields) - set(besides)
    assert not unknown, f"{place} has {unknown}, which {kind.__name__} does not know"


def check_facets(facets, place, kind):
    for name, facet in facets.items():
        of = CLASSES[QUALITY[kind] if name == "dataQualityMetrics" else FACETS[name]]
        where = f"{place}.{name}"
        assert facet["_producer"] and facet["_schemaURL"] == of._get_schema(), (where, facet["_schemaURL"], of._get_schema())
        check_class(facet, of, where)


def check_run_event(event):
    """Stops at the first thing that the specification does not allow."""
    validate_run_event(event)
    assert event["schemaURL"] == base.RunEvent._get_schema()
    assert event["producer"].partition(":")[1]
    assert event["eventType"] in base.EventType.__members__
    check_class(
        event, base.RunEvent, "event", besides={"run", "job", "inputs", "outputs", "producer", "schemaURL", "eventType"}
    )
    check_class(event["run"], base.Run, "run", besides={"facets"})
    check_facets(event["run"]["facets"], "run", "facets")
    check_class(event["job"], base.Job, "job", besides={"facets"})
    check_facets(event["job"]["facets"], "job", "facets")
    for side, kind, more in (("inputs", base.InputDataset, "inputFacets"), ("outputs", base.OutputDataset, "outputFacets")):
        for dataset in event[side]:
            place = f"{side} {dataset['name']}"
            check_class(dataset, kind, place, besides={"facets", more})
            check_facets(dataset.get("facets", {}), place, "facets")
            check_facets(dataset.get(more, {}), place, more)
