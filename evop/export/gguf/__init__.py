"""GGUF, the file that llama.cpp runs: which architecture, which tensors, which tokenizer, how many bits."""
