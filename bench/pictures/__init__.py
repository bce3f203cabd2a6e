"""Pictures of a run, by matplotlib.

style   colours and type: one colour a peer, everywhere; Podgate's stands out
boxes   every sample of a few questions, with its box, peer beside peer
curves  how a figure grows with connections, bursts or rates
cdf     whole latency distributions
bars    the questions that matter at a glance, with Podgate's ratio to each peer
trips   the paper's figure: round trips by size, with a box and every sample of each backend
shares  which share of many arrivals was served in time
draw    which pictures a run gets
"""
