# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# Draws life.dat: the caller's time for an object in each phase of its life. Wants `directory` and
# `machine`.
set terminal svg size 900,480 font "sans,13" background "white"
set output directory . "/life.svg"
set title "An object's whole life: the caller's time\n{/*0.8 " . machine . "}"
set ylabel "ns: median, least, most"
set logscale y
set yrange [1:]
set grid y
set key outside top right horizontal noenhanced
set style data histograms
set style histogram errorbars gap 1.5 linewidth 1
set style fill solid 0.8 border
set xtics noenhanced
colors = "#1f77b4 #17becf #d62728 #2ca02c #ff7f0e #9467bd"
names = "zs_free zs_free_deferred glibc jemalloc mimalloc tcmalloc"
data = directory . "/life.dat"
plot for [i=0:5] data using 2+3*i:3+3*i:4+3*i:xtic(1) title word(names, i + 1) \
	linecolor rgb word(colors, i + 1)
