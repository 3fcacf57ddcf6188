"""The specification's own JSON Schemas, read out of a published crate that carries them, and events held against them.

No package of the OpenLineage project has its schemas in it: the Python client has the classes that are generated from them,
and so has the Java one. The crate `datafusion-openlineage` has the schemas themselves among its tests, unchanged from release
1.50.0 of the specification. It has no Python wheel, so Cargo fetches it: one file, by name, version and checksum. Nothing of it
is built.
"""

import functools
import hashlib
import json
import os
import pathlib
import subprocess
import tarfile
import tempfile
import urllib.parse

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

CRATE = "datafusion-openlineage"
VERSION = "0.0.12"
CHECKSUM = "c3174cdfb83e6ada02b64b2684f696ca382886cae5ce98d12ec802bbb1392129"
FACETS = "https://openlineage.io/spec/facets"
RUN_EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"

# Facets of events whose schemas the crate has not, or has in another version. The event's own schema holds them to what every
# facet has, and the generated classes in `specification.py` to the rest.
NOT_CARRIED = {
    f"{FACETS}/1-0-1/DatasetVersionDatasetFacet.json",
    f"{FACETS}/1-0-1/DataQualityMetricsDatasetFacet.json",
    f"{FACETS}/1-0-3/DataQualityMetricsInputDatasetFacet.json",
    f"{FACETS}/1-2-0/ParentRunFacet.json",
    f"{FACETS}/1-0-1/NominalTimeRunFacet.json",
    f"{FACETS}/2-0-4/JobTypeJobFacet.json",
}


def crate():
    """The crate's file, out of Cargo's cache; fetched into it where it is not there yet."""
    home = pathlib.Path(os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo")
    pattern = f"registry/cache/*/{CRATE}-{VERSION}.crate"
    if not any(home.glob(pattern)):
        # away from the workspace, whose lock file would choose the version
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                ["cargo", "info", "--quiet", f"{CRATE}@{VERSION}"],
                cwd=folder, stdout=subprocess.DEVNULL, check=True, timeout=300,
            )
    file = next(home.glob(pattern))
    assert hashlib.sha256(file.read_bytes()).hexdigest() == CHECKSUM, f"{file} is not the crate that is pinned"
    return file


@functools.cache
def schemas():
    """The schemas by their `$id`. What is not among them is not looked for anywhere else."""
    found = {}
    with tarfile.open(crate()) as files:
        for file in files:
            if file.name.startswith(f"{CRATE}-{VERSION}/tests/schemas/openlineage/") and file.name.endswith(".json"):
                schema = json.load(files.extractfile(file))
                Draft202012Validator.check_schema(schema)
                found[schema["$id"]] = Resource.from_contents(schema)
    return found


@functools.cache
def validator(url):
    registry = Registry().with_resources(schemas().items())
    return Draft202012Validator(
        {"$ref": url}, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def facets_of(event):
    for part in (event["run"], event["job"], *event.get("inputs", []), *event.get("outputs", [])):
        for kind in ("facets", "inputFacets", "outputFacets"):
            yield from part.get(kind, {}).values()


def validate_run_event(event):
    """Stops at the first thing that a schema does not allow, and at a facet whose schema nobody has."""
    assert event.get("schemaURL") == RUN_EVENT
    validator(RUN_EVENT).validate(event)
    for facet in facets_of(event):
        url = facet["_schemaURL"]
        if urllib.parse.urldefrag(url).url not in NOT_CARRIED:
            validator(url).validate(facet)
