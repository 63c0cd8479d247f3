namespace Stig.Model.Graphs;

/// <summary>Extents of a tensor, at most four, row-major (the last varies fastest); a scalar has none.</summary>
internal readonly struct Shape : IEquatable<Shape>
{
    private readonly int d0, d1, d2, d3;

    public Shape(params ReadOnlySpan<int> extents)
    {
        if (extents.Length > 4)
        {
            throw new ArgumentException($"A tensor has at most four extents, not {extents.Length}.", nameof(extents));
        }

        foreach (int extent in extents)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(extent, 1, nameof(extents));
        }

        Rank = extents.Length;
        d0 = Rank > 0 ? extents[0] : 1;
        d1 = Rank > 1 ? extents[1] : 1;
        d2 = Rank > 2 ? extents[2] : 1;
        d3 = Rank > 3 ? extents[3] : 1;
    }

    public static Shape Scalar => default;

    public int Rank { get; }

    /// <summary>Extent of the given axis; negative counts from the end.</summary>
    public int this[int axis]
    {
        get
        {
            int index = axis < 0 ? Rank + axis : axis;
            ArgumentOutOfRangeException.ThrowIfNegative(index, nameof(axis));
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Rank, nameof(axis));
            return index switch { 0 => d0, 1 => d1, 2 => d2, _ => d3 };
        }
    }

    // The four extents every executor works with: [k] is C = k; [n, k] is N, C; [c, h, w] has N = 1.
    public int N => Rank is 4 or 2 ? d0 : 1;
    public int C => Rank switch { 0 => 1, 1 => d0, 2 => d1, 3 => d0, _ => d1 };
    public int H => Rank switch { 3 => d1, 4 => d2, _ => 1 };
    public int W => Rank switch { 3 => d2, 4 => d3, _ => 1 };

    /// <summary>Number of elements; 1 for a scalar.</summary>
    public long Count => (long)N * C * H * W;

    public int[] ToArray()
    {
        int[] extents = new int[Rank];
        for (int axis = 0; axis < Rank; axis++)
        {
            extents[axis] = this[axis];
        }

        return extents;
    }

    /// <summary>The same shape with one extent replaced.</summary>
    public Shape With(int axis, int extent)
    {
        int[] extents = ToArray();
        extents[axis] = extent;
        return new Shape(extents);
    }

    public bool Equals(Shape other) => Rank == other.Rank && N == other.N && C == other.C && H == other.H && W == other.W;

    public override bool Equals(object? obj) => obj is Shape other && Equals(other);

    public override int GetHashCode() => HashCode.Combine(Rank, d0, d1, d2, d3);

    public static bool operator ==(Shape left, Shape right) => left.Equals(right);

    public static bool operator !=(Shape left, Shape right) => !left.Equals(right);

    public override string ToString() => $"[{string.Join(", ", ToArray())}]";
}
