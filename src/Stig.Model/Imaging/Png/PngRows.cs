using System.Buffers;

namespace Stig.Model.Imaging;

/// <summary>The filtered rows of an image, in order from the top: what PNG compresses.</summary>
internal sealed class PngRows : IDisposable
{
    // Zeros before a row; at least the bytes of a pixel.
    private const int Margin = 4;

    private const int Filters = 5;

    private readonly RgbImage image;
    private readonly int channels;
    private readonly int stride;
    private readonly PngFilter filter;
    private readonly byte[] candidates;
    private byte[] row;
    private byte[] above;
    private int next;

    /// <summary>Starts at the top.</summary>
    /// <param name="image">The image.</param>
    /// <param name="grey">Whether a pixel's three channels become one, their rounded mean.</param>
    /// <param name="filter">The filter.</param>
    public PngRows(RgbImage image, bool grey, PngFilter filter)
    {
        (this.image, this.filter) = (image, filter);
        channels = Channels(image, grey);
        stride = checked(image.Width * channels);
        row = ArrayPool<byte>.Shared.Rent(Margin + stride);
        above = ArrayPool<byte>.Shared.Rent(Margin + stride);
        candidates = ArrayPool<byte>.Shared.Rent(filter == PngFilter.Adaptive ? checked(Filters * stride) : 0);
        row.AsSpan(0, Margin).Clear();
        above.AsSpan(0, Margin + stride).Clear();
    }

    /// <summary>Bytes of a filtered row: the filter's number, and the differences.</summary>
    public int RowLength => stride + 1;

    /// <summary>Bytes a pixel.</summary>
    public static int Channels(RgbImage image, bool grey) => (grey ? 1 : 3) + (image.Alpha is null ? 0 : 1);

    /// <summary>Writes the next row.</summary>
    /// <param name="target">Receives <see cref="RowLength"/> bytes.</param>
    public void Next(Span<byte> target)
    {
        Gather(next++, row.AsSpan(Margin, stride));
        if (filter == PngFilter.Adaptive)
        {
            long least = long.MaxValue;
            int best = 0;
            for (int candidate = 0; candidate < Filters; candidate++)
            {
                long sum = PngFilters.Apply(candidate, row, above, Margin, channels, candidates.AsSpan(candidate * stride, stride));
                if (sum < least)
                {
                    (least, best) = (sum, candidate);
                }
            }

            target[0] = (byte)best;
            candidates.AsSpan(best * stride, stride).CopyTo(target[1..]);
        }
        else
        {
            int number = (int)filter - (int)PngFilter.None;
            target[0] = (byte)number;
            PngFilters.Apply(number, row, above, Margin, channels, target.Slice(1, stride));
        }

        (row, above) = (above, row);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(row);
        ArrayPool<byte>.Shared.Return(above);
        ArrayPool<byte>.Shared.Return(candidates);
    }

    // The samples of a row, interleaved as the file has them.
    private void Gather(int y, Span<byte> samples)
    {
        ReadOnlySpan<byte> colours = image.Pixels.AsSpan(3 * image.Width * y, 3 * image.Width);
        ReadOnlySpan<byte> opacities = image.Alpha.AsSpan(image.Alpha is null ? 0 : image.Width * y, image.Alpha is null ? 0 : image.Width);
        switch (channels)
        {
            case 3:
                colours.CopyTo(samples);
                break;
            case 4:
                for (int i = 0, o = 0, pixel = 0; pixel < opacities.Length; i += 3, o += 4, pixel++)
                {
                    samples[o] = colours[i];
                    samples[o + 1] = colours[i + 1];
                    samples[o + 2] = colours[i + 2];
                    samples[o + 3] = opacities[pixel];
                }

                break;
            default:
                for (int i = 0, o = 0, pixel = 0; o < samples.Length; i += 3, o += channels, pixel++)
                {
                    samples[o] = RgbImage.Grey(colours[i], colours[i + 1], colours[i + 2]);
                    if (channels == 2)
                    {
                        samples[o + 1] = opacities[pixel];
                    }
                }

                break;
        }
    }
}
