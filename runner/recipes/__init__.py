"""How variants are made; a recipe's name is its variant's `recipe`.

Most are a function from a source to an ONNX file. MODULE_RECIPES change the loaded PyTorch module instead: they make no
file, and only the pytorch backend runs them.
"""

RECIPES = {
    "given": "assay.runner.recipes.given:build",
    "export": "assay.runner.recipes.export:build",
    "onnxruntime-dynamic": "assay.runner.recipes.onnxruntime_quantize:build_dynamic",
    "onnxruntime-static": "assay.runner.recipes.onnxruntime_static:build",
    "modelopt": "assay.runner.recipes.modelopt:build",
    "modelopt-autocast": "assay.runner.recipes.modelopt:cast",
    "onnx-fp16": "assay.runner.recipes.onnx_fp16:build",
    "codebook": "assay.runner.recipes.codebook:build",
}
"""Name -> `module:function`, imported on first use. Functions take (Ingredients) and write `Ingredients.target`."""

MODULE_RECIPES = {
    "torch-dynamic": "assay.runner.recipes.torch_modules:quantize_dynamic",
    "torch-dtype": "assay.runner.recipes.torch_modules:cast",
    "torch-compile": "assay.runner.recipes.torch_modules:compile_module",
    "codebook-linear": "assay.runner.recipes.codebook_modules:quantize_codebook",
    "bitsandbytes": "assay.runner.recipes.torch_modules:quantize_bitsandbytes",
}
"""Name -> `module:function`. Functions take (module, options) and return the module that runs."""

ENGINE_RECIPES = {"tensorrt": "assay.runner.backends.tensorrt_build:build"}
"""Name -> `module:function`: what a backend makes of an ONNX file before it can run it. Functions take (Ingredients)
and return their settings."""
