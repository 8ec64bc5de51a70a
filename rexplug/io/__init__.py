"""Reading and writing files: atomic writes, tables and JSON, compression, the Hugging Face Hub."""
