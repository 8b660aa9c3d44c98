"""What running text says: thinking, turns, sentences, doubt, answer phrases and conclusions, in the languages models write.

May import: nothing of the lab. Start with `rewards/answer.py`, the policy that puts these together. Here is text in, text
out: every pattern is bounded, so that ten thousand characters of anything take linear time.
"""
