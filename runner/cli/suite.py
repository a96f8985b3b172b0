"""`assay suite`: check and describe suite files."""

from __future__ import annotations

from assay.runner.cli.family import Family, Panel
from assay.runner.cli.options import Json, Suite, Wide

family = Family(Panel.KEEP, name="suite", help="Check and describe suite files.")


@family.command()
def check(file: Suite, wide: Wide = False, json: Json = False) -> None:
    """Validate a suite and list the cases that it makes.

    Example: assay suite check my_suite.toml
    """
    from assay.runner.reports import console
    from assay.runner.reports.tables import print_table
    from assay.runner.suites.case import expand
    from assay.runner.suites.suite import find_suite, load_suite

    cases = [
        {
            "case": c.name,
            "version": c.version,
            "recipe": c.recipe.recipe,
            "reference": (c.golden and f"golden:{c.golden}") or c.reference,
            "policy": c.policy_name,
        }
        for c in expand(load_suite(find_suite(file)))
    ]
    if json:
        console.print_json({"suite": file, "cases": cases})
    else:
        print_table(
            cases, ["case", "version", "recipe", "reference", "policy"], f"{file}: {len(cases)} cases", wide=wide
        )


@family.command(name="schema")
def suite_schema() -> None:
    """Print the JSON Schema of suite files, for editors.

    Example: assay suite schema > assay-suite.schema.json
    """
    from assay.runner.suites.suite import Suite
    from assay.schema.documents import strict

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Suite.model_json_schema()}
    print(strict(schema, indent=1))  # `$schema` is its version: validators refuse words that they do not know
