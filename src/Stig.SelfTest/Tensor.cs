using System.Numerics;
using Stig.Model.Graphs;

namespace Stig.SelfTest;

/// <summary>
/// A tensor of the oracles: double precision, row-major. A complex tensor holds pairs (real, imaginary); 8-bit pixels are in the order
/// in which they are stored, [N, H, W, C], although their shape is written [N, C, H, W].
/// </summary>
internal sealed class Tensor
{
    public Tensor(Shape shape, ElementType element = ElementType.Float32)
        : this(shape, element, new double[shape.Count * (element == ElementType.Complex64 ? 2 : 1)])
    {
    }

    public Tensor(Shape shape, ElementType element, double[] values)
    {
        Shape = shape;
        Element = element;
        Values = values;
        (N, C, H, W) = (shape.N, shape.C, shape.H, shape.W);
    }

    public Shape Shape { get; }

    public ElementType Element { get; }

    public double[] Values { get; }

    public int N { get; }

    public int C { get; }

    public int H { get; }

    public int W { get; }

    /// <summary>Element of image n, channel c, row y, column x.</summary>
    public double this[int n, int c, int y = 0, int x = 0]
    {
        get => Values[Index(n, c, y, x)];
        set => Values[Index(n, c, y, x)] = value;
    }

    public static Tensor Scalar(double value) => new(Shape.Scalar, ElementType.Float32, [value]);

    public Complex ComplexAt(int n, int c, int y, int x)
    {
        int index = 2 * Index(n, c, y, x);
        return new Complex(Values[index], Values[index + 1]);
    }

    public void SetComplex(int n, int c, int y, int x, Complex value)
    {
        int index = 2 * Index(n, c, y, x);
        Values[index] = value.Real;
        Values[index + 1] = value.Imaginary;
    }

    /// <summary>A function applied to every element.</summary>
    public Tensor Map(Func<double, double> function) => new(Shape, Element, Array.ConvertAll(Values, value => function(value)));

    private int Index(int n, int c, int y, int x) => (((((n * C) + c) * H) + y) * W) + x;
}
