"""The paper's tables, figures and ablation, from one command each. Not part of the installed package."""
