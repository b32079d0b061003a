# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# Draws back.dat: resident memory after the last free. Wants `directory` and `machine`.
set terminal svg size 900,480 font "sans,13" background "white"
set output directory . "/back.svg"
set title "After the last of a gigabyte's frees\n{/*0.8 " . machine . "}"
set xlabel "ms since the last free"
set ylabel "resident anonymous memory, MB"
set xrange [-10:1000]
set yrange [0:]
set grid
set key outside right top noenhanced
colors = "#1f77b4 #17becf #7f7f7f #c7c7c7 #d62728 #2ca02c #ff7f0e #9467bd #8c564b"
data = directory . "/back.dat"
plot for [i=0:8] data index i using 1:2 with steps title columnheader(1) \
	linewidth 2 linecolor rgb word(colors, i + 1)
