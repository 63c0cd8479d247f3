namespace Stig.Model.Evaluation;

/// <summary>Extents of planar images and their spectra, stored channel after channel, row-major.</summary>
/// <param name="Height">Rows, at least 1.</param>
/// <param name="Width">Columns, at least 1.</param>
/// <param name="Channels">Planes, at least 1.</param>
public readonly record struct ImageExtents(int Height, int Width, int Channels = 3)
{
    /// <summary>Values of one plane.</summary>
    public int Area => checked(Height * Width);

    /// <summary>Values of an image.</summary>
    public int Count => checked(Channels * Area);

    internal void Validate(string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Height, 1, name);
        ArgumentOutOfRangeException.ThrowIfLessThan(Width, 1, name);
        ArgumentOutOfRangeException.ThrowIfLessThan(Channels, 1, name);
    }

    internal void CheckLength(ReadOnlySpan<float> values, string name)
    {
        if (values.Length != Count)
        {
            throw new ArgumentException($"{Channels} planes of {Height} x {Width} are {Count} values, not {values.Length}.", name);
        }
    }
}
