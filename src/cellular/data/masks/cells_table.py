"""cells.csv: one row per cell of a prepared dataset."""

# field, split    where the cell is
# class           the folder its mask came from
# label           its number in all/<split>/<field>_masks; 0 for an excluded class
# class_label     its number in <class>/<split>/<field>_masks; 0 for an excluded class
# ignore_label    its number in <field>_ignore; 0 unless its class is excluded
# source          the mask's file, inside the masks' folder
# area_px         area of the mask, px, before any overlap is settled
# y0, x0, y1, x1  box of the mask, px, half-open
# lost_px         pixels of it that another cell kept, px, in all (excluded: in the ignore image)
# class_lost_px   the same in the class's own label image
COLUMNS = (
    *("field", "split", "class", "label", "class_label", "ignore_label", "source"),
    *("area_px", "y0", "x0", "y1", "x1", "lost_px", "class_lost_px"),
)
