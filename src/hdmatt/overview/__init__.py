"""What the whole picture at reduced size shows and a patch cannot. Not from the paper. Knows nothing about networks."""
