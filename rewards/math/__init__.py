r"""A verifier for mathematical answers that needs neither torch nor a GPU.

`grade(reference, completion, prompt)` reads the final answer of a completion and gives a Verdict; `compare_texts` compares
two bare answers; `parse` gives the tree of one answer. Nothing here evaluates text: a tokenizer and a grammar of our own
build a small bounded tree.

May import: its own rooms grammar (what an answer says), equality (is it the same) and symbolic (sympy, asked last), and the
floor of rewards. Start with `verify.py`.
"""

from rewards.math.grammar.parser import parse
from rewards.math.tree import Node, TooBigError, UnreadableError
from rewards.math.verify import compare_texts, grade, verify_math

__all__ = ["Node", "TooBigError", "UnreadableError", "compare_texts", "grade", "parse", "verify_math"]
