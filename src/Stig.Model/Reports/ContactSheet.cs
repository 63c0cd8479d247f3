using SkiaSharp;
using Stig.Model.Imaging;

namespace Stig.Model.Reports;

/// <summary>A row of a contact sheet.</summary>
/// <param name="Label">Written left of the row; may be empty.</param>
/// <param name="Images">The images, left to right; their sizes may differ.</param>
public sealed record ContactSheetRow(string Label, IReadOnlyList<RgbImage> Images);

/// <summary>Draws a titled grid of images, each column headed, each row labelled.</summary>
/// <remarks>Every pixel becomes a square of whole pixels (nearest neighbour), so that what is seen is what the images
/// hold.</remarks>
public static class ContactSheet
{
    private const int Margin = 16, Gap = 6;
    private const float TitleSize = 20, HeadSize = 14, LabelSize = 13, SmallestText = 7;

    /// <summary>Draws a sheet and writes it as an image file.</summary>
    /// <param name="path">The file, .png.</param>
    /// <param name="title">Written at the top.</param>
    /// <param name="heads">A heading for each column.</param>
    /// <param name="rows">The rows, at least one image in all.</param>
    /// <param name="scale">Side of the square that a pixel becomes, at least 1.</param>
    /// <exception cref="ArgumentException">There is no image, or a row has more images than there are headings.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Save(string path, string title, IReadOnlyList<string> heads, IReadOnlyList<ContactSheetRow> rows, int scale = 1) =>
        ImageCodec.Save(path, Draw(title, heads, rows, scale));

    /// <summary>Draws a sheet.</summary>
    /// <param name="title">Written at the top.</param>
    /// <param name="heads">A heading for each column.</param>
    /// <param name="rows">The rows, at least one image in all.</param>
    /// <param name="scale">Side of the square that a pixel becomes, at least 1.</param>
    /// <exception cref="ArgumentException">There is no image, or a row has more images than there are headings.</exception>
    public static RgbImage Draw(string title, IReadOnlyList<string> heads, IReadOnlyList<ContactSheetRow> rows, int scale = 1)
    {
        ArgumentNullException.ThrowIfNull(title);
        ArgumentNullException.ThrowIfNull(heads);
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentOutOfRangeException.ThrowIfLessThan(scale, 1);
        if (!rows.Any(row => row.Images.Count > 0) || rows.Any(row => row.Images.Count > heads.Count))
        {
            throw new ArgumentException("A sheet needs at least one image, and no more images in a row than there are headings.",
                                        nameof(rows));
        }

        int[] columnWidths = [.. heads.Select((_, column) =>
            scale * rows.Max(row => column < row.Images.Count ? row.Images[column].Width : 0))];
        int[] rowHeights = [.. rows.Select(row => scale * row.Images.Select(image => image.Height).DefaultIfEmpty(0).Max())];
        using SKFont titleFont = Font(TitleSize, bold: true), headFont = Font(HeadSize), labelFont = Font(LabelSize);
        int labelWidth = (int)MathF.Ceiling(rows.Max(row => labelFont.MeasureText(row.Label)));
        int left = Margin + (labelWidth > 0 ? labelWidth + 2 * Gap : 0), top = Margin + (int)(1.5f * TitleSize + 1.8f * HeadSize);
        int gridWidth = columnWidths.Sum() + Gap * (heads.Count - 1);
        int width = Math.Max(left + gridWidth, Margin + (int)MathF.Ceiling(titleFont.MeasureText(title))) + Margin;
        int height = top + rowHeights.Sum() + Gap * (rows.Count - 1) + Margin;

        using var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        using var canvas = new SKCanvas(bitmap);
        using var ink = new SKPaint { Color = new SKColor(0x22, 0x22, 0x22), IsAntialias = true };
        canvas.Clear(SKColors.White);
        canvas.DrawText(title, Margin, Margin + TitleSize, SKTextAlign.Left, titleFont, ink);
        int x = left;
        for (int column = 0; column < heads.Count; column++)
        {
            using SKFont fitted = Fit(heads[column], HeadSize, columnWidths[column]);
            canvas.DrawText(heads[column], x + columnWidths[column] / 2f, top - 0.5f * HeadSize, SKTextAlign.Center, fitted, ink);
            x += columnWidths[column] + Gap;
        }

        int y = top;
        for (int row = 0; row < rows.Count; row++)
        {
            float baseline = y + rowHeights[row] / 2f + 0.35f * LabelSize;
            canvas.DrawText(rows[row].Label, left - 2 * Gap, baseline, SKTextAlign.Right, labelFont, ink);
            x = left;
            for (int column = 0; column < rows[row].Images.Count; column++)
            {
                RgbImage image = rows[row].Images[column];
                Paste(bitmap, image, x + (columnWidths[column] - scale * image.Width) / 2, y, scale);
                x += columnWidths[column] + Gap;
            }

            y += rowHeights[row] + Gap;
        }

        canvas.Flush();
        return ToImage(bitmap);
    }

    private static SKFont Font(float size, bool bold = false) => new(ReportFont.Typeface, size) { Embolden = bold, Subpixel = true };

    // The font in a size at which the text is no wider than its column, down to what can still be read.
    private static SKFont Fit(string text, float size, int width)
    {
        SKFont font = Font(size);
        float needed = font.MeasureText(text);
        if (needed > width)
        {
            font.Size = Math.Max(SmallestText, size * width / needed);
        }

        return font;
    }

    private static void Paste(SKBitmap bitmap, RgbImage image, int left, int top, int scale)
    {
        Span<byte> target = bitmap.GetPixelSpan();
        for (int y = 0; y < image.Height * scale; y++)
        {
            ReadOnlySpan<byte> source = image.Pixels.AsSpan(3 * image.Width * (y / scale), 3 * image.Width);
            Span<byte> line = target.Slice((top + y) * bitmap.RowBytes + 4 * left, 4 * image.Width * scale);
            for (int x = 0; x < image.Width * scale; x++)
            {
                source.Slice(3 * (x / scale), 3).CopyTo(line[(4 * x)..]);
            }
        }
    }

    private static RgbImage ToImage(SKBitmap bitmap)
    {
        var pixels = new byte[3 * bitmap.Width * bitmap.Height];
        ReadOnlySpan<byte> source = bitmap.GetPixelSpan();
        for (int i = 0; i < pixels.Length / 3; i++)
        {
            source.Slice(4 * i, 3).CopyTo(pixels.AsSpan(3 * i));
        }

        return new RgbImage(bitmap.Width, bitmap.Height, pixels);
    }
}
