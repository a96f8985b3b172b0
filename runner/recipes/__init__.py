"""How artifacts are made. A recipe is a function from a source to an ONNX file; its name is its variant's `recipe`."""

RECIPES = {
    "given": "runner.recipes.given:build",
    "export": "runner.recipes.export:build",
    "onnxruntime-dynamic": "runner.recipes.onnxruntime_quantize:build_dynamic",
}
"""Name -> `module:function`, imported on first use. Functions take (Ingredients) and write `Ingredients.target`."""
