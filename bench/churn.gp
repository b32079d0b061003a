# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# Draws churn.dat: what is resident more than what is stored, over the replacements. Wants
# `directory` and `machine`.
set terminal svg size 900,480 font "sans,13" background "white"
set output directory . "/churn.svg"
set title "Churn: resident memory more than the stored bytes\n{/*0.8 " . machine . "}"
set xlabel "million random replacements, the number of objects always the same"
set ylabel "%"
set yrange [0:]
set grid y
set key outside top right horizontal
plot for [i = 0:5] directory . "/churn.dat" index i using 1:2 with linespoints linewidth 2 \
	title columnheader(1)
