/* The nine functions that TensorRT's Python bindings are linked against: enough to import them, nothing else. */
void *createInferBuilder_INTERNAL(void *a, int v) { return 0; }
void *createInferRefitter_INTERNAL(void *a, void *b, int v) { return 0; }
void *createInferRuntime_INTERNAL(void *a, int v) { return 0; }
void *createNvOnnxParserRefitter_INTERNAL(void *a, void *b, int v) { return 0; }
void *createNvOnnxParser_INTERNAL(void *a, void *b, int v) { return 0; }
void *getBuilderPluginRegistry(int a) { return 0; }
int getNvOnnxParserVersion(void) { return 0; }
void *getPluginRegistry(void) { return 0; }
int initLibNvInferPlugins(void *a, const char *b) { return 1; }
